"""The neurons of the adult C. elegans hermaphrodite: names, classes, sides, roles, signs.

Names and roles are those of the sheets of Cook et al. 2019 (Nature, doi:10.1038/s41586-019-1352-7),
which have the 300 neurons that make chemical synapses (not CANL and CANR); classes are those of
White et al. 1986. Which neurons use GABA: McIntire et al. 1993, the 26 classical ones.
"""

import re
from collections.abc import Iterable

import pandas as pd

_SHEETS = {
    "pharyngeal": """
        I1L I1R I2L I2R I3 I4 I5 I6 M1 M2L M2R M3L M3R M4 M5 MCL MCR MI NSML NSMR
    """,
    "sensory": """
        ASIL ASIR ASJL ASJR AWAL AWAR ASGL ASGR AWBL AWBR ASEL ASER ADFL ADFR AFDL AFDR AWCL
        AWCR ASKL ASKR ASHL ASHR ADLL ADLR BAGL BAGR URXL URXR ALNL ALNR PLNL PLNR SDQL SDQR
        AQR PQR ALML ALMR AVM PVM PLML PLMR FLPL FLPR DVA PVDL PVDR ADEL ADER PDEL PDER PHAL
        PHAR PHBL PHBR PHCL PHCR IL2DL IL2DR IL2L IL2R IL2VL IL2VR CEPDL CEPDR CEPVL CEPVR
        URYDL URYDR URYVL URYVR OLLL OLLR OLQDL OLQDR OLQVL OLQVR IL1DL IL1DR IL1L IL1R IL1VL
        IL1VR
    """,
    "interneuron": """
        AINL AINR AIML AIMR RIH URBL URBR RIR AIYL AIYR AIAL AIAR AUAL AUAR AIZL AIZR RIS ALA
        PVQL PVQR ADAL ADAR RIFL RIFR BDUL BDUR PVR AVFL AVFR AVHL AVHR PVPL PVPR LUAL LUAR
        PVNL PVNR AVG DVB RIBL RIBR RIGL RIGR RMGL RMGR AIBL AIBR RICL RICR SAADL SAADR SAAVL
        SAAVR AVKL AVKR DVC AVJL AVJR PVT AVDL AVDR AVL PVWL PVWR RIAL RIAR RIML RIMR AVEL
        AVER RMFL RMFR RID AVBL AVBR AVAL AVAR PVCL PVCR RIPL RIPR
    """,
    "motor": """
        URADL URADR URAVL URAVR RMEL RMER RMED RMEV RMDDL RMDDR RMDL RMDR RMDVL RMDVR RIVL
        RIVR RMHL RMHR SABD SABVL SABVR SMDDL SMDDR SMDVL SMDVR SMBDL SMBDR SMBVL SMBVR SIBDL
        SIBDR SIBVL SIBVR SIADL SIADR SIAVL SIAVR DA01 DA02 DA03 DA04 DA05 DA06 DA07 DA08 DA09
        PDA DB01 DB02 DB03 DB04 DB05 DB06 DB07 AS01 AS02 AS03 AS04 AS05 AS06 AS07 AS08 AS09
        AS10 AS11 PDB DD01 DD02 DD03 DD04 DD05 DD06 VA01 VA02 VA03 VA04 VA05 VA06 VA07 VA08
        VA09 VA10 VA11 VA12 VB01 VB02 VB03 VB04 VB05 VB06 VB07 VB08 VB09 VB10 VB11 VD01 VD02
        VD03 VD04 VD05 VD06 VD07 VD08 VD09 VD10 VD11 VD12 VD13 HSNL HSNR VC01 VC02 VC03 VC04
        VC05 VC06
    """,
}
BY_ROLE = {role: tuple(names.split()) for role, names in _SHEETS.items()}
"""Neurons by role, in the order of the sheets."""

GABA = ("AVL", "DD", "DVB", "RIS", "RME", "VD")
"""Classes taken as inhibitory. AVL and DVB excite the muscles of the gut all the same, and other
transmitters inhibit some of their targets: signs by sender are an assumption."""

QUARTETS = (
    *("CEP", "IL1", "IL2", "OLQ", "RMD", "RME", "SAA", "SAB", "SIA", "SIB", "SMB", "SMD"),
    *("URA", "URY"),
)
"""Classes whose members differ in dorsal and ventral as well as left and right."""

_ROWS = re.compile(r"^(AS|DA|DB|DD|VA|VB|VC|VD)0?(\d{1,2})$")
"""Motor neurons along the ventral cord, which some files write AS1 and others AS01."""


def standard_names(names: Iterable[str]) -> list[str]:
    """Names as the sheets write them: AS1 becomes AS01."""
    return [_ROWS.sub(lambda m: f"{m[1]}{int(m[2]):02d}", str(name).strip()) for name in names]


OTHER_NAMES = {"AWCOFF": "AWCL", "AWCOF": "AWCL", "AWCON": "AWCR"}
"""Names of the two AWC neurons by their function, which files of activity use. Which side becomes
which differs from animal to animal; that AWCOFF is the left one is a convention (the connectome of
one animal has only left and right). AWCOF is AWCOFF in files whose names have at most 5 letters."""


def matched_names(names: Iterable[str]) -> list[str]:
    """Names as the sheets write them, of whatever file: VB1 becomes VB01, AWCOFF becomes AWCL."""
    return [OTHER_NAMES.get(name, name) for name in standard_names(names)]


def short_names(names: Iterable[str]) -> list[str]:
    """Names as most packages write them: AS01 becomes AS1."""
    return [_ROWS.sub(lambda m: f"{m[1]}{int(m[2])}", str(name).strip()) for name in names]


def neurons() -> pd.DataFrame:
    """The 300 neurons: ``id``, ``name``, ``cell_type`` (class), ``side``, ``role``, ``sign``.

    ``name`` is the id as most other packages write it: VB1 for VB01.
    """
    ids = [name for names in BY_ROLE.values() for name in names]
    kinds = [_class(name, set(ids)) for name in ids]
    return pd.DataFrame(
        {
            "id": ids,
            "name": short_names(ids),
            "cell_type": kinds,
            "side": [_side(name, kind) for name, kind in zip(ids, kinds, strict=True)],
            "role": [role for role, names in BY_ROLE.items() for _ in names],
            "sign": [-1.0 if kind in GABA else 1.0 for kind in kinds],
        }
    )


def _class(name: str, names: set[str]) -> str:
    if match := _ROWS.match(name):
        return match[1]
    if name[:3] in QUARTETS:
        return name[:3]
    mate = name[:-1] + {"L": "R", "R": "L"}.get(name[-1], "")
    return name[:-1] if mate != name[:-1] and mate in names else name


def _side(name: str, kind: str) -> str:
    """left, right, or middle for a neuron without a mate."""
    if name == kind or _ROWS.match(name):
        return "middle"
    return {"L": "left", "R": "right"}.get(name[-1], "middle")

"""Activity as laboratories record it: files of many formats, sessions, signals."""

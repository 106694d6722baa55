"""Attribution of a response to neurons, edges and stimuli, and lesions."""

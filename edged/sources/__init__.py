"""From the text of a list to typed entries: the formats, the guards of a list, and the file of the last good one."""

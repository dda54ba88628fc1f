"""Simplified Chinese texts by code, one module per area, in the words of Proxmox VE's own translation."""

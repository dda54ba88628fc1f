"""Proxmox VE: its grammar (what it reads, drops and starts), and the way to its API."""

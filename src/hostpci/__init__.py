"""hostpci: a PCI device of a Proxmox VE host, handed to a virtual machine and proven."""

__version__ = "0.1.0"

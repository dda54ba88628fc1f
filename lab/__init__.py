"""The hostpci lab: real kernels under QEMU with virtual PCI cards, to prove hostpci."""

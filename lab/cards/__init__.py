"""Virtual PCI cards: a vfio-user server whose functions are rows of `cards.toml`."""

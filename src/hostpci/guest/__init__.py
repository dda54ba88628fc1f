"""The card inside the guest: what the guest says, the driver it needs, and the proof."""

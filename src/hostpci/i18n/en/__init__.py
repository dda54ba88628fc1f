"""English texts by code, one module per area; ``zh_cn`` has the same keys, a test holds the two together."""

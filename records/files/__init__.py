"""Files on the disk and in the store: taken in, unpacked, opened, shown and sent."""

"""What files say about themselves: EXIF, IPTC, XMP, ICC profiles, C2PA manifests."""

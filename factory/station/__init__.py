"""What the station keeps: its claim, its CAs, its ledger of serial numbers."""

"""What Firstboot costs, measured against something that everybody knows."""

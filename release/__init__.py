"""What a release consists of: the wheel, software bills of materials, and their check sums."""

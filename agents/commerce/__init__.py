"""What a shop does: carts, orders, products, coupons, loyalty."""

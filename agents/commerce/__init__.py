"""What a customer does in the shop: carts, orders, coupons, loyalty."""

"""What may be asked of a customer: fields, conditions, segments, scores, and local time."""

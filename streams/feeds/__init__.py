"""Product feeds as shops' systems write them, and whole tables of other kinds.

unpacking      gzip, up to a limit
delimited      CSV, TSV and their like: encoding, delimiter and rows are found out
xml_items      RSS 2.0 and Atom, item by item
source_rows    what a feed consists of, by its content
google, shopify, woocommerce, own     what one kind of feed says of a product
reading        all of it together: a file becomes products and a report
downloads      feeds at a URL
schedule       fetching them again and again (`[[feeds]]` in the settings file)
"""

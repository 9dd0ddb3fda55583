/*
 * Ritorno's custom pixel for Shopify (Settings > Customer events > Add custom pixel): what Shopify
 * tells of a visitor, in Segment's protocol. Choose "Permission: Required, Analytics" there; Shopify
 * runs it then only for visitors who have agreed.
 *
 * An order that it tells is a hint, the order itself is what the shop's webhook says; both, and the
 * checkout before them, are joined by `checkout.token`.
 */
const ENDPOINT = "__ENDPOINT__";
const KEY = "__KEY__";

const say = (event, said) => {
  const { document, navigator } = event.context;
  const { href, pathname, search } = document.location;
  fetch(ENDPOINT, {
    method: "POST",
    keepalive: true,
    body: JSON.stringify({
      writeKey: KEY,
      sentAt: new Date(),
      batch: [{
        type: "track", messageId: event.id, anonymousId: event.clientId, timestamp: event.timestamp, ...said,
        context: {
          page: { url: href, path: pathname, search, title: document.title, referrer: document.referrer },
          locale: navigator.language,
          library: { name: "ritorno-shopify-pixel", version: "1" },
        },
      }],
    }),
  });
};

/* Orders name a product by its number: of "gid://shopify/Product/9001" it is the end. */
const number = (id) => id && String(id).split("/").pop();

const productOf = (variant, quantity, event) => ({
  product_id: number(variant?.product?.id ?? variant?.id), sku: variant?.sku, variant: variant?.title,
  name: variant?.product?.title, brand: variant?.product?.vendor, category: variant?.product?.type,
  price: variant?.price?.amount, currency: variant?.price?.currencyCode, quantity,
  url: variant?.product?.url && new URL(variant.product.url, event.context.document.location.href).href,
  image_url: variant?.image?.src,
});

const checkoutOf = (event, step) => {
  const { token, email, currencyCode, lineItems } = event.data.checkout;
  const products = (lineItems ?? []).map((line) => ({ ...productOf(line.variant, line.quantity, event), name: line.title }));
  return { checkout_id: token, step, email: email || undefined, currency: currencyCode, products: products.filter((each) => each.product_id) };
};

const lineOf = (event) => productOf(event.data.cartLine?.merchandise, event.data.cartLine?.quantity, event);

const step = (name) => (event) => ["Checkout Step Completed", checkoutOf(event, name)];

const EVENTS = {
  product_viewed: (event) => ["Product Viewed", productOf(event.data.productVariant, 1, event)],
  collection_viewed: ({ data }) => ["Product List Viewed", { list_id: number(data.collection.id), category: data.collection.title }],
  search_submitted: ({ data }) => ["Products Searched", { query: data.searchResult.query }],
  product_added_to_cart: (event) => ["Product Added", lineOf(event)],
  product_removed_from_cart: (event) => ["Product Removed", lineOf(event)],
  cart_viewed: ({ data }) => ["Cart Viewed", { cart_id: number(data.cart?.id) }],
  checkout_started: (event) => ["Checkout Started", checkoutOf(event)],
  checkout_contact_info_submitted: step("contact"),
  checkout_address_info_submitted: step("shipping_address"),
  checkout_shipping_info_submitted: step("shipping_method"),
  payment_info_submitted: step("payment"),
  checkout_completed: (event) => ["Order Completed", {
    ...checkoutOf(event), order_id: number(event.data.checkout.order?.id) ?? event.data.checkout.token,
    total: event.data.checkout.totalPrice?.amount,
  }],
};

analytics.subscribe("page_viewed", (event) => say(event, { type: "page" }));
for (const [name, told] of Object.entries(EVENTS)) {
  analytics.subscribe(name, (event) => {
    const [named, properties] = told(event);
    say(event, { event: named, properties });
  });
}

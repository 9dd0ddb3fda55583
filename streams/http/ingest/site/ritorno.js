/*
 * Ritorno's site script: says to an ingest, in Segment's protocol, what a visitor does on a page.
 *
 *   <script async src="https://ingest.example.it/ritorno.js" data-key="PUBLICKEY"></script>
 *
 * Until the visitor agrees, nothing is stored and nothing is sent: what happens is held in memory,
 * and thrown away when the visitor refuses. What is sent may arrive twice, since a page that is
 * left can't wait for the answer; the ingest knows it by its messageId.
 *
 * Pages get ritorno.min.js, which `make site-script` makes of this file. It must stay below 4,000
 * bytes, so this is written with an eye on what comes out: globals that are used often have a name
 * here, and what a browser of 2021 has is used. docs/site-tracking.md tells the rest.
 */
(() => {
  const root = window;
  const browser = navigator;
  const page = document;
  const address = location;
  const listen = addEventListener;
  const script = page.currentScript;
  const options = script.dataset;
  const queued = root.ritorno;
  if (queued && !queued.q) return; /* it is here already */

  /* Segment takes 32 kB an event, browsers 64 kB of requests that outlive their page. A character
     is at most three bytes. */
  const MOST_EVENTS = 100;
  const EVENT_CHARACTERS = 1e4;
  const BATCH_CHARACTERS = 2e4;
  const JSON_LD_CHARACTERS = 1e5;
  const MOST_SHOWN = 50;
  const LOOK_MILLISECONDS = 200;
  const MOST_FAILURES = 8; /* of which the last waits 2 ** 7 s at most… */
  const MOST_SECONDS = 4e3; /* …beside what the ingest asks for, of which this is believed */
  const ID_SECONDS = 15552e3; /* 180 days */
  const ID = "ritorno_id";
  const STORED = "ritorno:";

  const kind = options.storage || "cookie";
  const isCookie = kind == "cookie";
  let store; /* of events that are not answered, and of the id unless that is a cookie */
  try {
    store = root[(isCookie ? "local" : kind) + "Storage"]; /* there is no noneStorage */
  } catch {
    /* It is closed to this page. */
  }

  let id; /* undefined until the visitor, or a tool that asks for us, agrees; 0 when it refuses */
  let queue = [];

  const json = JSON.stringify;
  const parsed = JSON.parse;
  const elements = (selector) => [...page.querySelectorAll(selector)];
  const random = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

  /* ------------------------------------------------------------------ what is kept, and where */

  const readId = () =>
    isCookie ? page.cookie.match(/\britorno_id=([\d-]+)/)?.[1] : store?.[ID];

  const write = (name, value) => {
    try {
      value ? (store[name] = value) : delete store[name];
    } catch {
      /* It is full, or there is none. */
    }
  };

  const writeId = (value) =>
    isCookie
      ? (page.cookie =
          `${ID}=${value};path=/;samesite=lax;max-age=${value ? ID_SECONDS : 0}` +
          `;domain=${options.domain || ""}${address.protocol[4] == "s" ? ";secure" : ""}`)
      : write(ID, value);

  const forget = (events) => {
    queue = queue.filter((event) => !events.includes(event));
    events.map((event) => write(STORED + event.messageId));
  };

  const add = (event) => {
    if (queue.push(event) > MOST_EVENTS) forget([queue[0]]);
    if (id) {
      event.anonymousId = id;
      /* An item for each: tabs share the store, and none may undo what another has written. */
      write(STORED + event.messageId, json(event));
      sendSoon();
    }
  };

  /* --------------------------------------------------------------------------------- sending */

  let timer; /* until the next batch, or its answer */
  let failures = 0;

  const sendSoon = (milliseconds) => {
    timer ||= setTimeout(send, milliseconds);
  };

  const send = () => {
    let characters = 0;
    const batch = queue.filter((event) => (characters += json(event).length) < BATCH_CHARACTERS);
    timer =
      id &&
      batch[0] &&
      fetch(new URL("v1/batch", script.src), {
        method: "POST",
        keepalive: 1, /* it outlives the page */
        /* A text is text/plain, for which no browser asks leave beforehand (CORS). */
        body: json({ writeKey: options.key, sentAt: new Date(), batch }),
      })
        .then(
          ({ status, headers }) =>
            status > 428 /* 429 and 5xx: we say nothing else that is above it */
              ? Math.min(headers.get("Retry-After"), MOST_SECONDS) || 1 /* nothing, or a date */
              : forget(batch) /* also what is refused: it would be again */,
          () => 1,
        )
        .then((seconds) => {
          timer = 0;
          failures = seconds ? failures + 1 : 0;
          /* Without seconds it is no number, which is at once. */
          if (failures < MOST_FAILURES) {
            sendSoon((seconds + 2 ** failures * Math.random()) * 1e3);
          }
        });
  };

  /* --------------------------------------------------------------------------------- consent */

  const consent = (said) => {
    const objects = browser.globalPrivacyControl || browser.doNotTrack == 1;
    if (objects || (said ? id : id === 0)) return;
    const held = queue;
    queue = [];
    for (const name in store) {
      if (name.startsWith(STORED)) queue.push(parsed(store[name]));
    }
    if (said) {
      writeId((id = readId() || random()));
      held.map(add);
      sendSoon();
    } else {
      forget(queue);
      writeId("");
      id = 0;
    }
  };

  /* Google's Consent Mode. Its default holds until somebody has been asked, so it says nothing. */
  const layer = (root.dataLayer ||= []);
  const push = layer.push;
  const hear = (entry) => {
    const said = entry?.[1] == "update" && entry[2]?.analytics_storage;
    if (said) consent(said == "granted");
  };
  layer.map(hear);
  layer.push = (...entries) => {
    entries.map(hear);
    return push.apply(layer, entries);
  };

  /* IAB TCF 2: purposes 1 (store and read) and 8 (measure content). Its tool may load late. */
  let tcf;
  const findTcf = () => {
    if (root.__tcfapi == tcf) return;
    tcf = root.__tcfapi;
    tcf("addEventListener", 2, (said) => {
      if (/loa|comp/.test(said?.eventStatus)) {
        consent(said.gdprApplies === false || [1, 8].every((each) => said.purpose.consents[each]));
      }
    });
  };

  /* ---------------------------------------------------------------------------------- events */

  /* Addresses of people are in some links, and are nothing of the page's, nor are parts of a path
     that look like hashes: who has one may be let in. What follows # is a place in a page, unless
     it is a path: of an app with a hash router it is the page (#/p/moka, #!/…). */
  const clean = (link) =>
    link.replace(
      /#(?!!?\/).*|([=/?&])[^&#=/?]*(@|%40)[^&#/?]*|(\/)(?=[a-f]*\d)[\da-f]{16,}/g,
      "$1$3",
    );

  const campaign = {};
  for (const [name, value] of new URLSearchParams(address.search)) {
    if (/^utm_/.test(name)) campaign[name == "utm_campaign" ? "name" : name.slice(4)] = value;
  }

  let url; /* of the page whose view is said */
  let referrer;

  const say = (type, said, context) => {
    if (id === 0) return;
    const event = json({
      type,
      ...said,
      messageId: random(),
      timestamp: new Date(),
      context: {
        page: { url: clean(address.href), path: clean(address.pathname), title: page.title, referrer },
        locale: browser.language,
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        campaign,
        ...context,
      },
    });
    /* A copy: what the page changes afterwards was not so. */
    if (event.length < EVENT_CHARACTERS) add(parsed(event));
  };

  const track = (event, properties) => say("track", { event, properties });

  /* --------------------------------------------------------- the product of a page (JSON-LD) */

  const first = (value) => [].concat(value)[0];

  /* A text or a number, or what stands for it: {name}, {url}, the first of many. */
  const text = (value, depth = 4) =>
    depth &&
    value &&
    (value === Object(value)
      ? text(value[0] || value.name || value.url, depth - 1)
      : ("" + value).slice(0, 500));

  const productsIn = (value, depth = 4) =>
    [].concat(value).flatMap((each) =>
      !each || !depth
        ? []
        : /Product/.test(json(each["@type"]))
          ? each
          : productsIn(each["@graph"], depth - 1),
    );

  const KEY = "product_id";
  let product = {};
  let readBefore;

  /* ------------------------------------------------- data-ritorno="Product Added" and the like */

  const ACTS = "a,button,form,input"; /* when it is clicked or sent; all else when it is there */

  const toldBy = (element) => {
    const event = element.dataset.ritorno;
    const form = element.closest("form")?.elements;
    let fields = {};
    /* As `lang` does, an attribute holds for what is inside. */
    for (let at = element; at; at = at.parentElement) {
      for (const { name, value } of at.attributes) {
        if (/^data-ritorno-/.test(name)) fields[name.slice(13).replace(/-/g, "_")] ??= value;
      }
    }
    if (/^Product /.test(event)) {
      fields.quantity ??= (form?.quantity || form?.qty)?.value;
      if ((fields[KEY] || product[KEY]) == product[KEY]) fields = { ...product, ...fields };
    }
    return [event, fields];
  };

  const act = ({ type, target }) => {
    const element = target.closest?.("[data-ritorno]");
    if (element?.matches(ACTS) && element.matches("form") == (type == "submit")) {
      look();
      track(...toldBy(element));
    }
  };

  /* ----------------------------------------------------------------------------------- pages */

  let seen;

  const look = () => {
    const now = clean(address.href);
    findTcf();
    if (now != url) {
      referrer = url || clean(page.referrer);
      url = now;
      seen = [];
      product = {};
      say("page");
    }
    const found = []; /* products, of which an app may write others without another address */
    const texts = elements('[type$="ld+json"]').map((each) => each.text);
    const all = texts.join();
    if (all != readBefore && all.length < JSON_LD_CHARACTERS) {
      readBefore = all;
      for (const each of texts) {
        try {
          found.push(...productsIn(parsed(each)));
        } catch {
          /* It is no JSON. */
        }
      }
      const said = { ...first(found[0]?.hasVariant), ...found[0] };
      const offer = first(said.offers);
      const price = { ...first(offer?.priceSpecification), ...offer };
      /* Of several products the page is a list; the same one is often told twice. */
      product =
        found[0] && found.every((each) => each.name == found[0].name)
          ? {
              [KEY]: text(said.sku || said.productID || said.productGroupID),
              name: text(said.name),
              brand: text(said.brand),
              category: text(said.category),
              price: text(price.price || price.lowPrice),
              currency: text(price.priceCurrency),
              url: text(said.url) || url,
              image_url: text(said.image),
            }
          : {};
    }
    const shown = elements(`[data-ritorno]:not(${ACTS})`).map(toldBy);
    if (product[KEY]) shown.push(["Product Viewed", product]);
    for (const each of shown) {
      const key = json(each);
      if (!seen.includes(key) && !seen[MOST_SHOWN]) {
        seen.push(key);
        track(...each);
      }
    }
  };

  /* Whatever is shown changes the document, also where one page becomes another without loading. A
     page that is read half may have a second product, and be a list. */
  let looking;
  const lookSoon = () => {
    looking ||= setTimeout(() => {
      looking = 0;
      page.readyState[0] == "l" || page.prerendering ? lookSoon() : look();
    }, LOOK_MILLISECONDS);
  };

  const api = {
    track,
    page: (name, properties) => say("page", { name, properties }),
    identify: (userId, traits, context) => say("identify", { userId, traits }, context),
    consent: (said) => consent(said.analytics),
    id: (then) => then(id),
  };

  root.ritorno = (name, ...said) => {
    try {
      api[name](...said);
    } catch (error) {
      console.warn(error); /* a page must not break of this */
    }
  };

  if (options.consent == "given" || readId()) consent(1);
  queued?.q.map((call) => ritorno(...call));
  listen("click", act, 1);
  listen("submit", act, 1);
  listen("visibilitychange", () => {
    if (page.hidden) {
      look();
      send();
    }
  });
  new MutationObserver(lookSoon).observe(page, { childList: 1, subtree: 1 });
  lookSoon();
})();

//! The files: documents of three lines each, in columns that the first stage's build reads too, and refunds of one.

use reqwest::Body;

/// Documents written into one chunk of a body.
const CHUNK: u64 = 500;

/// The store that sells.
pub(super) const STORE: &str = "code,name,city,time_zone\nS1,First,Berlin,Europe/Berlin\n";

/// A file of documents.
#[derive(Clone, Copy)]
pub(super) struct File {
    pub(super) service: &'static str,
    pub(super) path: &'static str,
    documents: u64,
    /// Of each document.
    lines: u64,
    header: &'static str,
    /// A line by document and number.
    line: fn(u64, u64) -> String,
}

pub(super) const SALES: File = File {
    service: "retail",
    path: "/api/v1/sales/import",
    documents: 350_000,
    lines: 3,
    header: "reference,kind,store_code,register_number,occurred_at,line_no,product_id,sku,product_name,category,\
             quantity,unit_price_cents,unit_cost_cents",
    line: |sale, line| {
        let (minute, product) = (sale % 60, product(sale, line));
        format!(
            "b-{sale},sale,S1,1,2026-01-02T10:{minute:02}:00Z,{line},{product},SKU-{product},\"Product, {product}\",\
             Tools,1,999,500"
        )
    },
};

/// Each gives back a whole sale of [`SALES`].
pub(super) const RETURNS: File = File {
    service: "retail",
    path: "/api/v1/sales/import",
    documents: 100_000,
    lines: 3,
    header: "reference,kind,store_code,register_number,occurred_at,original_reference,line_no,product_id,sku,\
             product_name,category,quantity,unit_price_cents,unit_cost_cents",
    line: |sale, line| {
        let (minute, product) = (sale % 60, product(sale, line));
        format!(
            "r-{sale},return,S1,1,2026-01-03T10:{minute:02}:00Z,b-{sale},{line},{product},SKU-{product},\
             \"Product, {product}\",Tools,1,999,500"
        )
    },
};

pub(super) const ORDERS: File = File {
    service: "ecommerce",
    path: "/api/v1/orders/import",
    documents: 100_000,
    lines: 3,
    header: "reference,customer_reference,status,payment_status,occurred_at,confirmed_at,shipped_at,delivered_at,\
             line_no,product_id,sku,product_name,category,quantity,unit_price_cents,unit_cost_cents",
    line: |order, line| {
        let (minute, customer, product) = (order % 60, order % CUSTOMERS + 1, product(order, line));
        format!(
            "o-{order},C-{customer},delivered,paid,2026-01-02T10:{minute:02}:00Z,2026-01-02T11:00:00Z,\
             2026-01-03T11:00:00Z,2026-01-04T11:00:00Z,{line},{product},SKU-{product},\"Product, {product}\",Tools,1,\
             999,500"
        )
    },
};

/// Each gives back a piece of an order of [`ORDERS`].
pub(super) const REFUNDS: File = File {
    service: "ecommerce",
    path: "/api/v1/refunds/import",
    documents: 100_000,
    lines: 1,
    header: "reference,order_reference,occurred_at,time_zone,line_no,order_line_no,quantity",
    line: |order, line| {
        let minute = order % 60;
        format!("f-{order},o-{order},2026-01-05T10:{minute:02}:00Z,Europe/Berlin,{line},{line},1")
    },
};

pub(super) const MOVEMENTS: File = File {
    service: "inventory",
    path: "/api/v1/stock-movements/import",
    documents: 100_000,
    lines: 3,
    header: "reference,reason,sku,location_code,quantity,occurred_at,time_zone",
    line: |document, line| {
        let (minute, product) = (document % 60, product(document, line));
        format!("m-{document},sale,SKU-{product},S1,-1,2026-01-02T10:{minute:02}:00Z,Europe/Berlin")
    },
};

const PRODUCTS: u64 = 500;
const CUSTOMERS: u64 = 500;

fn product(document: u64, line: u64) -> u64 {
    (document + line) % PRODUCTS + 1
}

/// The products that move.
pub(super) fn products() -> String {
    let row = |product| format!("SKU-{product},\"Product, {product}\",Tools,999,500\n");
    let rows: String = (1..=PRODUCTS).map(row).collect();
    format!("sku,name,category,unit_price_cents,unit_cost_cents\n{rows}")
}

/// The customers who order.
pub(super) fn customers() -> String {
    let rows: String = (1..=CUSTOMERS).map(|customer| format!("C-{customer},Customer,2025-01-01\n")).collect();
    format!("reference,name,signup_day\n{rows}")
}

impl File {
    pub(super) fn rows(&self) -> u64 {
        self.documents * self.lines
    }

    /// The file, made while it is sent.
    pub(super) fn body(self) -> Body {
        let chunks = (0..self.documents.div_ceil(CHUNK)).map(move |chunk| {
            let header = (chunk == 0).then(|| self.header.to_owned());
            let documents = chunk * CHUNK..self.documents.min((chunk + 1) * CHUNK);
            let lines = documents.flat_map(|document| (1..=self.lines).map(move |line| (self.line)(document, line)));
            Ok::<_, std::io::Error>(header.into_iter().chain(lines).map(|line| line + "\n").collect::<String>())
        });
        Body::wrap_stream(futures_util::stream::iter(chunks))
    }
}

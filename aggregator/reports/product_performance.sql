/*---
title = "Product performance"
description = "What each product sold in store and online, and what it earned: pieces, net revenue by channel, margin and margin rate, against the period before and the same weekdays a year ago. A row for each product with a line in any of the three, up to the limit. Order: net revenue, most first; ties by product no."
section = "Products"
grain = "day"
inherits = "sales"
key = ["product_id"]
[params]
limit = { type = "int", title = "Rows", default = 100, min = 1, max = 100000 }
[publish]
limit = 100000
[columns]
product_id     = { type = "int64", title = "Product no." }
sku            = { type = "string", title = "SKU", note = "SKU, name and category are those of one line: the latest in the period; without one, the latest of the periods compared. Of several at that moment, the one with the highest document and line of that day." }
product        = { type = "string", title = "Product", note = "Of the same line as the SKU." }
category       = { type = "string", title = "Category", note = "Of the same line as the SKU." }
store_revenue  = { type = "money", title = "Net revenue in store", note = "Net revenue of the channel store." }
online_revenue = { type = "money", title = "Net revenue online", note = "Net revenue of all other channels." }
[chart]
kind = "bar"
x = "product"
y = "net_revenue"
---*/
WITH cells AS (
    SELECT product_id, sku, product_name, category, last_at, last_document, last_line, channel, lines, pieces, net_cents, cost_cents, margin_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM product_days
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_product AS (
    SELECT product_id, COALESCE(MAX(CASE WHEN is_now THEN last_at END), MAX(last_at)) AS labelled_at,
           SUM(CASE WHEN is_now THEN lines ELSE 0 END) AS lines_now,
           SUM(CASE WHEN is_now THEN pieces ELSE 0 END) AS pieces,
           SUM(CASE WHEN is_now AND channel = 'store' THEN net_cents ELSE 0 END) AS store_revenue,
           SUM(CASE WHEN is_now AND channel <> 'store' THEN net_cents ELSE 0 END) AS online_revenue,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN cost_cents ELSE 0 END) AS cost,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_before THEN net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END) AS year_ago_revenue
    FROM cells
    GROUP BY product_id
),
late_labels AS (
    SELECT c.product_id AS labelled_id, c.sku AS sku, c.product_name AS product, c.category AS category,
           -c.last_document AS late_document, -c.last_line AS late_line
    FROM cells AS c
    JOIN by_product AS b ON b.product_id = c.product_id AND b.labelled_at = c.last_at
    WHERE c.is_now OR b.lines_now = 0
),
labels AS (
    SELECT labelled_id, sku, product, category, ROW_NUMBER() OVER (PARTITION BY labelled_id ORDER BY late_document, late_line, sku, product, category) AS lateness
    FROM late_labels
)
SELECT p.product_id AS product_id, n.sku AS sku, n.product AS product, n.category AS category, p.pieces AS pieces,
       p.store_revenue AS store_revenue, p.online_revenue AS online_revenue, p.net_revenue AS net_revenue, p.cost AS cost, p.margin AS margin,
       CASE WHEN p.net_revenue <> 0 THEN p.margin * 100.0 / p.net_revenue END AS margin_rate,
       p.previous_revenue AS previous_revenue,
       CASE WHEN p.previous_revenue > 0 THEN (p.net_revenue - p.previous_revenue) * 100.0 / p.previous_revenue END AS change,
       p.year_ago_revenue AS year_ago_revenue,
       CASE WHEN p.year_ago_revenue > 0 THEN (p.net_revenue - p.year_ago_revenue) * 100.0 / p.year_ago_revenue END AS year_change
FROM by_product AS p
JOIN labels AS n ON n.labelled_id = p.product_id
WHERE n.lateness = 1
ORDER BY net_revenue DESC, product_id
LIMIT $limit

/*---
title = "Product ranking"
description = "The best products by revenue, by volume or by margin, with their share of the whole, and their net revenue against the period before and the same weekdays a year ago. A row for each product with a line in the period, up to the limit. Order: place."
section = "Products"
grain = "day"
inherits = "sales"
key = ["product_id"]
[params]
by = { type = "choice", title = "By", choices = ["revenue", "volume", "margin"], default = "revenue" }
limit = { type = "int", title = "Rows", default = 50, min = 1, max = 100000 }
[publish]
limit = 100000
[columns]
place = { type = "int64", title = "Place", note = "1 is the most of the chosen measure; ties by product no." }
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU", note = "SKU, name and category are those of one line: the latest in the period; of several at that moment, the one with the highest document and line of that day." }
product = { type = "string", title = "Product", note = "Of the same line as the SKU." }
category = { type = "string", title = "Category", note = "Of the same line as the SKU." }
share = { type = "float", title = "Share", unit = "%", note = "Of the chosen measure over all products; empty where that is not above zero." }
[chart]
kind = "bar"
x = "product"
y = "net_revenue"
---*/
WITH cells AS (
    SELECT product_id, sku, product_name, category, last_at, last_document, last_line, lines, pieces, net_cents, margin_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM product_days
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_product AS (
    SELECT product_id, MAX(CASE WHEN is_now THEN last_at END) AS labelled_at, SUM(CASE WHEN is_now THEN lines ELSE 0 END) AS lines_now,
           SUM(CASE WHEN is_now THEN pieces ELSE 0 END) AS pieces,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_before THEN net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END) AS year_ago_revenue
    FROM cells
    GROUP BY product_id
),
measured AS (
    SELECT product_id, pieces, net_revenue, margin, previous_revenue, year_ago_revenue,
           CASE WHEN $by = 'volume' THEN pieces WHEN $by = 'margin' THEN margin ELSE net_revenue END AS measure,
           -CASE WHEN $by = 'volume' THEN pieces WHEN $by = 'margin' THEN margin ELSE net_revenue END AS negative_measure
    FROM by_product
    WHERE lines_now > 0
),
ranked AS (
    SELECT product_id, pieces, net_revenue, margin, previous_revenue, year_ago_revenue, measure,
           ROW_NUMBER() OVER (ORDER BY negative_measure, product_id) AS place, SUM(measure) OVER () AS total
    FROM measured
),
late_labels AS (
    SELECT c.product_id AS labelled_id, c.sku AS sku, c.product_name AS product, c.category AS category,
           -c.last_document AS late_document, -c.last_line AS late_line
    FROM cells AS c
    JOIN by_product AS b ON b.product_id = c.product_id AND b.labelled_at = c.last_at
    WHERE c.is_now
),
labels AS (
    SELECT labelled_id, sku, product, category, ROW_NUMBER() OVER (PARTITION BY labelled_id ORDER BY late_document, late_line, sku, product, category) AS lateness
    FROM late_labels
)
SELECT r.place AS place, r.product_id AS product_id, n.sku AS sku, n.product AS product, n.category AS category, r.pieces AS pieces,
       r.net_revenue AS net_revenue, r.margin AS margin,
       CASE WHEN r.total > 0 THEN r.measure * 100.0 / r.total END AS share,
       r.previous_revenue AS previous_revenue,
       CASE WHEN r.previous_revenue > 0 THEN (r.net_revenue - r.previous_revenue) * 100.0 / r.previous_revenue END AS change,
       r.year_ago_revenue AS year_ago_revenue,
       CASE WHEN r.year_ago_revenue > 0 THEN (r.net_revenue - r.year_ago_revenue) * 100.0 / r.year_ago_revenue END AS year_change
FROM ranked AS r
JOIN labels AS n ON n.labelled_id = r.product_id
WHERE n.lateness = 1
ORDER BY place, product_id
LIMIT $limit

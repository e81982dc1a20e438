/*---
title = "ABC classes"
description = "Products by their part of net revenue: A makes up the first share of it, B the next, C the rest. A row for each product with a line in the period. Order: net revenue, most first; ties by product no."
section = "Products"
grain = "day"
lookback = 89
key = ["product_id"]
[params]
from = { type = "date", title = "From", default = "today-90d" }
to = { type = "date", title = "To", default = "yesterday" }
a = { type = "int", title = "A up to (%)", default = 80, min = 1, max = 99 }
b = { type = "int", title = "B up to (%)", default = 95, min = 1, max = 100 }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day - 89d"
to = "$business_day"
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU", note = "SKU and name are those of one line: the latest in the period; of several at that moment, the one with the highest document and line of that day." }
product = { type = "string", title = "Product", note = "Of the same line as the SKU." }
net_revenue = { type = "money", title = "Net revenue" }
share = { type = "float", title = "Share", unit = "%", note = "Of the net revenue of all rows together; empty where that is not above zero." }
cumulative_share = { type = "float", title = "Cumulative share", unit = "%", note = "Of this product and all rows above it; empty where the net revenue of all rows together is not above zero." }
class = { type = "string", title = "Class", note = "By the cumulative share of the rows above it: below A's limit A, below B's limit B, else C. C where the product, or all together, has no net revenue above zero." }
[chart]
kind = "line"
x = "product"
y = "cumulative_share"
---*/
WITH by_product AS (
    SELECT product_id, MAX(last_at) AS labelled_at, SUM(net_cents) AS net_revenue, -SUM(net_cents) AS negative_revenue
    FROM product_days
    WHERE business_day BETWEEN $from AND $to
    GROUP BY product_id
),
running AS (
    SELECT product_id, net_revenue, SUM(net_revenue) OVER () AS total,
           SUM(net_revenue) OVER (ORDER BY negative_revenue, product_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running
    FROM by_product
),
late_labels AS (
    SELECT d.product_id AS labelled_id, d.sku AS sku, d.product_name AS product, d.category AS category,
           -d.last_document AS late_document, -d.last_line AS late_line
    FROM product_days AS d
    JOIN by_product AS b ON b.product_id = d.product_id AND b.labelled_at = d.last_at
    WHERE d.business_day BETWEEN $from AND $to
),
labels AS (
    SELECT labelled_id, sku, product, ROW_NUMBER() OVER (PARTITION BY labelled_id ORDER BY late_document, late_line, sku, product, category) AS lateness
    FROM late_labels
)
SELECT r.product_id AS product_id, n.sku AS sku, n.product AS product, r.net_revenue AS net_revenue,
       CASE WHEN r.total > 0 THEN r.net_revenue * 100.0 / r.total END AS share,
       CASE WHEN r.total > 0 THEN r.running * 100.0 / r.total END AS cumulative_share,
       CASE WHEN r.net_revenue <= 0 OR r.total <= 0 THEN 'C'
            WHEN (r.running - r.net_revenue) * 100 < r.total * $a THEN 'A'
            WHEN (r.running - r.net_revenue) * 100 < r.total * $b THEN 'B'
            ELSE 'C' END AS class
FROM running AS r
JOIN labels AS n ON n.labelled_id = r.product_id
WHERE n.lateness = 1
ORDER BY net_revenue DESC, product_id

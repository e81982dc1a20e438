/*---
title = "Product ranking"
description = "The best products by revenue, by volume or by margin, with their share of the whole."
section = "Products"
grain = "day"
key = ["product_id"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
by = { type = "choice", title = "By", choices = ["revenue", "volume", "margin"], default = "revenue" }
limit = { type = "int", title = "Rows", default = 50, min = 1, max = 100000 }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
limit = 100000
[columns]
place = { type = "int64", title = "Place" }
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU" }
product = { type = "string", title = "Product" }
category = { type = "string", title = "Category" }
pieces = { type = "int64", title = "Pieces", unit = "pieces" }
net_revenue = { type = "money", title = "Net revenue" }
margin = { type = "money", title = "Margin" }
share = { type = "float", title = "Share", unit = "%", note = "Of the chosen measure over all products." }
[chart]
kind = "bar"
x = "product"
y = "net_revenue"
---*/
WITH by_product AS (
    SELECT product_id, MAX(sku) AS sku, MAX(product_name) AS product, MAX(category) AS category,
           SUM(quantity) AS pieces, SUM(net_cents) AS net_revenue, SUM(margin_cents) AS margin
    FROM sales
    WHERE business_day BETWEEN $from AND $to
    GROUP BY product_id
),
measured AS (
    SELECT product_id, sku, product, category, pieces, net_revenue, margin,
           CASE WHEN $by = 'volume' THEN pieces WHEN $by = 'margin' THEN margin ELSE net_revenue END AS measure,
           -CASE WHEN $by = 'volume' THEN pieces WHEN $by = 'margin' THEN margin ELSE net_revenue END AS negative_measure
    FROM by_product
),
ranked AS (
    SELECT product_id, sku, product, category, pieces, net_revenue, margin, measure,
           ROW_NUMBER() OVER (ORDER BY negative_measure, product_id) AS place, SUM(measure) OVER () AS total
    FROM measured
)
SELECT place, product_id, sku, product, category, pieces, net_revenue, margin,
       CASE WHEN total > 0 THEN measure * 100.0 / total END AS share
FROM ranked
ORDER BY place, product_id
LIMIT $limit

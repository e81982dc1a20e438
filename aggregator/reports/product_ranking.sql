/*---
title = "Product ranking"
description = "The best products by revenue, by volume or by margin, with their share of the whole, and their net revenue against the period before and the same weekdays a year ago."
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
place = { type = "int64", title = "Place" }
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU" }
product = { type = "string", title = "Product" }
category = { type = "string", title = "Category" }
share = { type = "float", title = "Share", unit = "%", note = "Of the chosen measure over all products." }
[chart]
kind = "bar"
x = "product"
y = "net_revenue"
---*/
WITH lines AS (
    SELECT product_id, sku, product_name, category, quantity, net_cents, margin_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM sales
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_product AS (
    SELECT product_id, MAX(sku) AS sku, MAX(product_name) AS product, MAX(category) AS category,
           SUM(CASE WHEN is_now THEN 1 ELSE 0 END) AS sold_lines,
           SUM(CASE WHEN is_now THEN quantity ELSE 0 END) AS pieces,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_before THEN net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END) AS year_ago_revenue
    FROM lines
    GROUP BY product_id
),
measured AS (
    SELECT product_id, sku, product, category, pieces, net_revenue, margin, previous_revenue, year_ago_revenue,
           CASE WHEN $by = 'volume' THEN pieces WHEN $by = 'margin' THEN margin ELSE net_revenue END AS measure,
           -CASE WHEN $by = 'volume' THEN pieces WHEN $by = 'margin' THEN margin ELSE net_revenue END AS negative_measure
    FROM by_product
    WHERE sold_lines > 0
),
ranked AS (
    SELECT product_id, sku, product, category, pieces, net_revenue, margin, previous_revenue, year_ago_revenue, measure,
           ROW_NUMBER() OVER (ORDER BY negative_measure, product_id) AS place, SUM(measure) OVER () AS total
    FROM measured
)
SELECT place, product_id, sku, product, category, pieces, net_revenue, margin,
       CASE WHEN total > 0 THEN measure * 100.0 / total END AS share,
       previous_revenue,
       CASE WHEN previous_revenue > 0 THEN (net_revenue - previous_revenue) * 100.0 / previous_revenue END AS change,
       year_ago_revenue,
       CASE WHEN year_ago_revenue > 0 THEN (net_revenue - year_ago_revenue) * 100.0 / year_ago_revenue END AS year_change
FROM ranked
ORDER BY place, product_id
LIMIT $limit

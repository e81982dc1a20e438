/*---
title = "Product performance"
description = "What each product sold in store and online, and what it earned: pieces, net revenue by channel, margin and margin rate, against the period before and the same weekdays a year ago."
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
sku            = { type = "string", title = "SKU", note = "As on the latest line sold." }
product        = { type = "string", title = "Product" }
category       = { type = "string", title = "Category" }
store_revenue  = { type = "money", title = "Net revenue in store" }
online_revenue = { type = "money", title = "Net revenue online" }
[chart]
kind = "bar"
x = "product"
y = "net_revenue"
---*/
WITH lines AS (
    SELECT product_id, sku, product_name, category, channel, quantity, net_cents, cost_cents, margin_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM sales
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_product AS (
    SELECT product_id, MAX(sku) AS sku, MAX(product_name) AS product, MAX(category) AS category,
           SUM(CASE WHEN is_now THEN quantity ELSE 0 END) AS pieces,
           SUM(CASE WHEN is_now AND channel = 'store' THEN net_cents ELSE 0 END) AS store_revenue,
           SUM(CASE WHEN is_now AND channel <> 'store' THEN net_cents ELSE 0 END) AS online_revenue,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN cost_cents ELSE 0 END) AS cost,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_before THEN net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END) AS year_ago_revenue
    FROM lines
    GROUP BY product_id
)
SELECT product_id, sku, product, category, pieces, store_revenue, online_revenue, net_revenue, cost, margin,
       CASE WHEN net_revenue <> 0 THEN margin * 100.0 / net_revenue END AS margin_rate,
       previous_revenue,
       CASE WHEN previous_revenue > 0 THEN (net_revenue - previous_revenue) * 100.0 / previous_revenue END AS change,
       year_ago_revenue,
       CASE WHEN year_ago_revenue > 0 THEN (net_revenue - year_ago_revenue) * 100.0 / year_ago_revenue END AS year_change
FROM by_product
ORDER BY net_revenue DESC, product_id
LIMIT $limit

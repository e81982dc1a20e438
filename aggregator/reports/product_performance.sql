/*---
title = "Product performance"
description = "What each product sold in store and online, and what it earned: pieces, net revenue by channel, margin and margin rate."
section = "Products"
grain = "day"
key = ["product_id"]
[params]
from  = { type = "date", title = "From", default = "today-30d" }
to    = { type = "date", title = "To", default = "yesterday" }
limit = { type = "int", title = "Rows", default = 100, min = 1, max = 100000 }
[days]
from = "$from"
to   = "$to"
[publish]
from  = "$business_day"
to    = "$business_day"
limit = 100000
[columns]
product_id     = { type = "int64", title = "Product no." }
sku            = { type = "string", title = "SKU", note = "As on the latest line sold." }
product        = { type = "string", title = "Product" }
category       = { type = "string", title = "Category" }
pieces         = { type = "int64", title = "Pieces", unit = "pieces", note = "Sold less returned, all channels." }
store_revenue  = { type = "money", title = "Net revenue in store" }
online_revenue = { type = "money", title = "Net revenue online" }
net_revenue    = { type = "money", title = "Net revenue", note = "After discounts, without cancelled orders and voided sales; returns are deducted on the day of the return." }
cost           = { type = "money", title = "Cost", note = "Pieces at the cost frozen on each line." }
margin         = { type = "money", title = "Margin", note = "Net revenue less cost." }
margin_rate    = { type = "float", title = "Margin rate", unit = "%", note = "Margin by net revenue; empty where there is no revenue." }
[chart]
kind = "bar"
x = "product"
y = "net_revenue"
---*/
WITH by_product AS (
    SELECT product_id, MAX(sku) AS sku, MAX(product_name) AS product, MAX(category) AS category,
           SUM(quantity) AS pieces,
           SUM(CASE WHEN channel = 'store' THEN net_cents ELSE 0 END) AS store_revenue,
           SUM(CASE WHEN channel = 'store' THEN 0 ELSE net_cents END) AS online_revenue,
           SUM(net_cents) AS net_revenue,
           SUM(cost_cents) AS cost,
           SUM(margin_cents) AS margin
    FROM sales
    WHERE business_day BETWEEN $from AND $to
    GROUP BY product_id
)
SELECT product_id, sku, product, category, pieces, store_revenue, online_revenue, net_revenue, cost, margin,
       CASE WHEN net_revenue <> 0 THEN margin * 100.0 / net_revenue END AS margin_rate
FROM by_product
ORDER BY net_revenue DESC, product_id
LIMIT $limit

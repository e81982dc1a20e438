/*---
title = "ABC classes"
description = "Products by their part of net revenue: A makes up the first share of it, B the next, C the rest."
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
sku = { type = "string", title = "SKU" }
product = { type = "string", title = "Product" }
net_revenue = { type = "money", title = "Net revenue" }
share = { type = "float", title = "Share", unit = "%" }
cumulative_share = { type = "float", title = "Cumulative share", unit = "%", note = "Of this product and all that sell more." }
class = { type = "string", title = "Class", note = "By the share of the products before it; no revenue is always C." }
[chart]
kind = "line"
x = "product"
y = "cumulative_share"
---*/
WITH by_product AS (
    SELECT product_id, MAX(sku) AS sku, MAX(product_name) AS product, SUM(net_cents) AS net_revenue, -SUM(net_cents) AS negative_revenue
    FROM sales
    WHERE business_day BETWEEN $from AND $to
    GROUP BY product_id
),
running AS (
    SELECT product_id, sku, product, net_revenue, SUM(net_revenue) OVER () AS total,
           SUM(net_revenue) OVER (ORDER BY negative_revenue, product_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running
    FROM by_product
)
SELECT product_id, sku, product, net_revenue,
       CASE WHEN total > 0 THEN net_revenue * 100.0 / total END AS share,
       CASE WHEN total > 0 THEN running * 100.0 / total END AS cumulative_share,
       CASE WHEN net_revenue <= 0 OR total <= 0 THEN 'C'
            WHEN (running - net_revenue) * 100 < total * $a THEN 'A'
            WHEN (running - net_revenue) * 100 < total * $b THEN 'B'
            ELSE 'C' END AS class
FROM running
ORDER BY net_revenue DESC, product_id

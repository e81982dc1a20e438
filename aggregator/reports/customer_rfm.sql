/*---
title = "Customer RFM"
description = "Customers by how recently, how often and for how much they ordered: scores from 1 to 5 and a segment."
section = "Customers"
grain = "snapshot"
key = ["customer_id"]
[params]
from = { type = "date", title = "From", default = "today-365d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day - 364d"
to = "$business_day"
[columns]
customer_id = { type = "int64", title = "Customer no." }
last_order = { type = "date", title = "Last order" }
orders = { type = "int64", title = "Orders" }
net_revenue = { type = "money", title = "Net revenue", note = "Of online orders that count, after discounts." }
recency = { type = "int32", title = "Recency", note = "5: the fifth of the customers that ordered last." }
frequency = { type = "int32", title = "Frequency", note = "5: the fifth that ordered most often." }
monetary = { type = "int32", title = "Value", note = "5: the fifth that spent most." }
segment = { type = "string", title = "Segment" }
[chart]
kind = "bar"
x = "segment"
y = "net_revenue"
---*/
WITH by_customer AS (
    SELECT customer_id, MAX(business_day) AS last_order, COUNT(*) AS orders, SUM(net_cents) AS net_revenue
    FROM customer_orders
    WHERE business_day BETWEEN $from AND $to
    GROUP BY customer_id
),
placed AS (
    SELECT customer_id, last_order, orders, net_revenue, COUNT(*) OVER () AS number,
           ROW_NUMBER() OVER (ORDER BY last_order, customer_id) AS by_recency,
           ROW_NUMBER() OVER (ORDER BY orders, customer_id) AS by_frequency,
           ROW_NUMBER() OVER (ORDER BY net_revenue, customer_id) AS by_value
    FROM by_customer
),
scored AS (
    SELECT customer_id, last_order, orders, net_revenue,
           CAST(FLOOR((by_recency - 1) * 5.0 / number) + 1 AS INTEGER) AS recency,
           CAST(FLOOR((by_frequency - 1) * 5.0 / number) + 1 AS INTEGER) AS frequency,
           CAST(FLOOR((by_value - 1) * 5.0 / number) + 1 AS INTEGER) AS monetary
    FROM placed
)
SELECT customer_id, last_order, orders, net_revenue, recency, frequency, monetary,
       CASE WHEN recency >= 4 AND frequency >= 4 AND monetary >= 4 THEN 'champion'
            WHEN recency >= 4 AND frequency <= 2 THEN 'new'
            WHEN frequency >= 4 THEN 'loyal'
            WHEN recency <= 2 AND monetary >= 4 THEN 'at risk'
            WHEN recency <= 2 THEN 'sleeping'
            ELSE 'regular' END AS segment
FROM scored
ORDER BY net_revenue DESC, customer_id

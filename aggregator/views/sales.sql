/*---
title = "Sales"
description = "Every line sold or returned in any channel that counts: completed in store; online neither pending nor cancelled. Returns, and refunds of orders that count, are negative, on their own day; without goods a refund has no pieces. document_key tells documents apart: positive in store, negative online."
[measures]
tickets = "Completed sales and orders that count; returns and refunds are none."
pieces = "Sold less returned."
net_revenue = "After discounts, without cancelled orders and voided sales; returns and refunds are deducted on their own day."
cost = "Pieces at the cost frozen on each line."
margin = "Net revenue less the cost frozen on each line."
margin_rate = "Margin by net revenue; empty where that is zero."
average_ticket = "Net revenue of the tickets counted, before any return or refund, by their number; rounded half to even, empty without a ticket."
discount = "Given on the lines sold, less those on the lines returned."
share = "Of the net revenue of all rows together; empty where that is zero."
previous_revenue = "Of as many days just before the period."
change = "Net revenue against that of the period before; empty where that was not above zero."
week_ago_revenue = "Of the same weekday, 7 days earlier."
year_ago_revenue = "Of the same weekdays a year ago, 364 days earlier."
year_change = "Net revenue against that of a year ago; empty where that was not above zero."
weekday = "1 is Monday."
day = "Business day: local, in the store's zone, online in the company's."
channel = "store or online."
category = "As frozen on the lines."
product_id = "The product's number."
# What a report that says `inherits = "sales"` need not say itself: a period, held against the period before and the
# same weekdays a year ago.
[report]
lookback = 1
[report.params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[report.derived]
before_from = "$from - span"
before_to = "$from - 1d"
year_from = "$from - 364d"
year_to = "$to - 364d"
[[report.days]]
from = "$from - span"
to = "$to"
[[report.days]]
from = "$from - 364d"
to = "$to - 364d"
[report.publish]
from = "$business_day"
to = "$business_day"
[report.columns]
tickets = { type = "int64", title = "Tickets" }
pieces = { type = "int64", title = "Pieces", unit = "pieces" }
net_revenue = { type = "money", title = "Net revenue" }
cost = { type = "money", title = "Cost" }
margin = { type = "money", title = "Margin" }
margin_rate = { type = "float", title = "Margin rate", unit = "%" }
average_ticket = { type = "money", title = "Average ticket" }
discount = { type = "money", title = "Discounts" }
share = { type = "float", title = "Share", unit = "%" }
previous_revenue = { type = "money", title = "Net revenue before" }
change = { type = "float", title = "Change", unit = "%" }
week_ago_revenue = { type = "money", title = "Net revenue a week ago" }
year_ago_revenue = { type = "money", title = "Net revenue a year ago" }
year_change = { type = "float", title = "Change on the year", unit = "%" }
---*/
SELECT business_day, business_hour, occurred_at, channel, store_id, register_id, CAST(NULL AS BIGINT) AS customer_id,
       sale_id AS document_key, line_no, reference, kind = 'return' AS is_return, imported,
       product_id, sku, product_name, category, quantity, discount_cents, net_cents,
       quantity * unit_cost_cents AS cost_cents, net_cents - quantity * unit_cost_cents AS margin_cents
FROM sale_lines
WHERE status = 'completed'
UNION ALL
SELECT business_day, business_hour, occurred_at, channel, CAST(NULL AS BIGINT) AS store_id, CAST(NULL AS BIGINT) AS register_id, customer_id,
       -order_id AS document_key, line_no, reference, FALSE AS is_return, imported,
       product_id, sku, product_name, category, quantity, discount_cents, net_cents,
       quantity * unit_cost_cents AS cost_cents, net_cents - quantity * unit_cost_cents AS margin_cents
FROM order_lines
WHERE status NOT IN ('pending', 'cancelled')
UNION ALL
SELECT business_day, business_hour, occurred_at, channel, CAST(NULL AS BIGINT) AS store_id, CAST(NULL AS BIGINT) AS register_id, customer_id,
       -refund_id AS document_key, line_no, reference, TRUE AS is_return, imported,
       product_id, sku, product_name, category, quantity, discount_cents, net_cents,
       quantity * unit_cost_cents AS cost_cents, net_cents - quantity * unit_cost_cents AS margin_cents
FROM refund_lines
WHERE status = 'completed' AND order_status NOT IN ('pending', 'cancelled')

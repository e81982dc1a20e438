/*---
title = "Discounts"
description = "What was given away: list value, discounts and their rate by category."
section = "Sales"
grain = "day"
key = ["category"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
category = { type = "string", title = "Category" }
list_value = { type = "money", title = "List value", note = "Net revenue before discounts." }
discount = { type = "money", title = "Discounts" }
discount_rate = { type = "float", title = "Discount rate", unit = "%" }
net_revenue = { type = "money", title = "Net revenue" }
[chart]
kind = "bar"
x = "category"
y = "discount"
---*/
WITH by_category AS (
    SELECT category, SUM(net_cents + discount_cents) AS list_value, SUM(discount_cents) AS discount, SUM(net_cents) AS net_revenue
    FROM sales
    WHERE business_day BETWEEN $from AND $to
    GROUP BY category
)
SELECT category, list_value, discount, CASE WHEN list_value > 0 THEN discount * 100.0 / list_value END AS discount_rate, net_revenue
FROM by_category
ORDER BY discount DESC, category

/*---
title = "Returns"
description = "Which products come back or are refunded: pieces and value returned in the period, the rate against what was sold in it, and the value against the period before and the same weekdays a year ago. A row for each product with a return or a refund in the period, up to the limit. Order: value returned, most first; ties by product no."
section = "Sales"
grain = "day"
inherits = "sales"
key = ["product_id"]
[params]
limit = { type = "int", title = "Rows", default = 100, min = 1, max = 100000 }
[publish]
limit = 100000
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU", note = "SKU and name are those of one line: the latest in the period; of several at that moment, the one with the highest document and line of that day." }
product = { type = "string", title = "Product", note = "Of the same line as the SKU." }
sold = { type = "int64", title = "Sold", unit = "pieces", note = "In the period; returns are not deducted, but lines that came back on a sale (exchanges) are." }
returned = { type = "int64", title = "Returned", unit = "pieces", note = "On the day of the return, whenever it was sold; none where only money was refunded." }
return_rate = { type = "float", title = "Return rate", unit = "%", note = "Returned by sold; empty where nothing was sold in the period." }
returned_value = { type = "money", title = "Value returned", note = "Net, as a positive amount." }
previous_value = { type = "money", title = "Value returned before", note = "In as many days just before the period." }
change = { note = "Value returned against that of the period before; empty where that was not above zero." }
year_ago_value = { type = "money", title = "Value returned a year ago", note = "On the same weekdays, 364 days earlier." }
year_change = { note = "Value returned against that of a year ago; empty where that was not above zero." }
[chart]
kind = "bar"
x = "product"
y = "returned_value"
---*/
WITH cells AS (
    SELECT product_id, sku, product_name, category, last_at, last_document, last_line, pieces, returned_lines, returned, returned_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM product_days
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_product AS (
    SELECT product_id, MAX(CASE WHEN is_now THEN last_at END) AS labelled_at,
           SUM(CASE WHEN is_now THEN pieces + returned ELSE 0 END) AS sold,
           SUM(CASE WHEN is_now THEN returned_lines ELSE 0 END) AS lines_returned,
           SUM(CASE WHEN is_now THEN returned ELSE 0 END) AS returned,
           SUM(CASE WHEN is_now THEN returned_cents ELSE 0 END) AS returned_value,
           SUM(CASE WHEN is_before THEN returned_cents ELSE 0 END) AS previous_value,
           SUM(CASE WHEN is_year_ago THEN returned_cents ELSE 0 END) AS year_ago_value
    FROM cells
    GROUP BY product_id
),
late_labels AS (
    SELECT c.product_id AS labelled_id, c.sku AS sku, c.product_name AS product, c.category AS category,
           -c.last_document AS late_document, -c.last_line AS late_line
    FROM cells AS c
    JOIN by_product AS b ON b.product_id = c.product_id AND b.labelled_at = c.last_at
    WHERE c.is_now AND b.lines_returned > 0
),
labels AS (
    SELECT labelled_id, sku, product, ROW_NUMBER() OVER (PARTITION BY labelled_id ORDER BY late_document, late_line, sku, product, category) AS lateness
    FROM late_labels
)
SELECT p.product_id AS product_id, n.sku AS sku, n.product AS product, p.sold AS sold, p.returned AS returned,
       CASE WHEN p.sold > 0 THEN p.returned * 100.0 / p.sold END AS return_rate, p.returned_value AS returned_value,
       p.previous_value AS previous_value,
       CASE WHEN p.previous_value > 0 THEN (p.returned_value - p.previous_value) * 100.0 / p.previous_value END AS change,
       p.year_ago_value AS year_ago_value,
       CASE WHEN p.year_ago_value > 0 THEN (p.returned_value - p.year_ago_value) * 100.0 / p.year_ago_value END AS year_change
FROM by_product AS p
JOIN labels AS n ON n.labelled_id = p.product_id
WHERE n.lateness = 1
ORDER BY returned_value DESC, product_id
LIMIT $limit

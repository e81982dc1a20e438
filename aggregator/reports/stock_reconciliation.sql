/*---
title = "Stock reconciliation"
description = "Where what the shops say they sold differs from what the warehouse moved, by document and product. A document is listed in the periods in which it was sold or moved, and compared with all that it moved, whenever that was: an order cancelled or a sale voided on a later day agrees. A row for each document and product that differ, and one for all imported history that differs, if any; no row but that one: the services agree. Order: finding, then reference, product no."
section = "Operations"
grain = "day"
key = ["finding", "reference", "product_id"]
[params]
from = { type = "date", title = "From", default = "complete_day-30d" }
to = { type = "date", title = "To", default = "complete_day" }
[publish]
from = "$business_day"
to = "$business_day"
[columns]
finding = { type = "string", title = "Finding", note = "drift: sold and moved differ; imported: history brought in without movements, counted in one row." }
reference = { type = "string", title = "Reference", note = "Of the sale, return, order or refund; empty for imported." }
product_id = { type = "int64", title = "Product no.", note = "0 for imported." }
documents = { type = "int64", title = "Documents", note = "1; of imported history, how many differ." }
sold = { type = "int64", title = "Sold", unit = "pieces", note = "Less returned, by Retail and Ecommerce." }
moved = { type = "int64", title = "Moved", unit = "pieces", note = "Out of stock less into stock, by Inventory, for sales and returns." }
difference = { type = "int64", title = "Difference", unit = "pieces", note = "Sold less moved." }
[check]
column = "finding"
is = "drift"
[chart]
kind = "bar"
x = "reference"
y = "difference"
---*/
WITH touched AS (
    SELECT reference AS touched_reference FROM sales WHERE business_day BETWEEN $from AND $to
    UNION ALL
    SELECT reference AS touched_reference FROM stock_movements WHERE reason IN ('sale', 'return') AND business_day BETWEEN $from AND $to
),
listed AS (
    SELECT touched_reference AS listed_reference, COUNT(*) AS touches FROM touched GROUP BY touched_reference
),
sold_lines AS (
    SELECT s.reference AS reference, s.product_id AS product_id, s.quantity AS quantity, s.imported AS imported
    FROM sales AS s
    JOIN listed AS l ON l.listed_reference = s.reference
),
sold AS (
    SELECT reference, product_id, SUM(quantity) AS sold, MIN(CASE WHEN imported THEN 1 ELSE 0 END) AS imported
    FROM sold_lines
    GROUP BY reference, product_id
),
moved_lines AS (
    SELECT m.reference AS moved_reference, m.product_id AS moved_product, m.quantity AS quantity
    FROM stock_movements AS m
    JOIN listed AS l ON l.listed_reference = m.reference
    WHERE m.reason IN ('sale', 'return')
),
moved AS (
    SELECT moved_reference, moved_product, -SUM(quantity) AS moved FROM moved_lines GROUP BY moved_reference, moved_product
),
moved_documents AS (
    SELECT DISTINCT moved_reference AS known_reference FROM moved
),
both_sides AS (
    SELECT COALESCE(s.reference, m.moved_reference) AS reference, COALESCE(s.product_id, m.moved_product) AS product_id,
           COALESCE(s.sold, 0) AS sold, COALESCE(m.moved, 0) AS moved, COALESCE(s.imported, 0) AS imported
    FROM sold AS s
    FULL JOIN moved AS m ON m.moved_reference = s.reference AND m.moved_product = s.product_id
),
differing AS (
    SELECT b.reference AS reference, b.product_id AS product_id, b.sold AS sold, b.moved AS moved,
           b.imported = 1 AND d.known_reference IS NULL AS is_history
    FROM both_sides AS b
    LEFT JOIN moved_documents AS d ON d.known_reference = b.reference
    WHERE b.sold <> b.moved
),
history AS (
    SELECT CAST(0 AS BIGINT) AS product_id, reference, sold, moved FROM differing WHERE is_history
),
findings AS (
    SELECT 'drift' AS finding, reference, product_id, CAST(1 AS BIGINT) AS documents, sold, moved FROM differing WHERE NOT is_history
    UNION ALL
    SELECT 'imported' AS finding, '' AS reference, product_id, COUNT(DISTINCT reference) AS documents, SUM(sold) AS sold, SUM(moved) AS moved
    FROM history
    GROUP BY product_id
)
SELECT finding, reference, product_id, documents, sold, moved, sold - moved AS difference
FROM findings
ORDER BY finding, reference, product_id

/* SPDX-License-Identifier: Apache-2.0 */
/* A report as a small picture for a README: CPU and memory over time, light and dark. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/format.h"
#include "cli/report_data.h"

#define WIDTH	   820
#define HEIGHT	   250
#define PANEL_TOP  88
#define PANEL_HIGH 118
#define PANEL_WIDE 362
#define MARGIN	   24
#define POINTS	   360 /* One to a pixel: more cannot be seen. */

static const char style[] =
	"<style>"
	".page{fill:#fff;stroke:#dfe4e7}.text{fill:#1b2226}.dim{fill:#5a666e}.grid{stroke:#dfe4e7}"
	".a{fill:#0f8f6c}.b{fill:#2f6fde}"
	"text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
	".title{font-size:15px;font-weight:600}.figure{font-size:20px;font-weight:600}"
	"@media(prefers-color-scheme:dark){.page{fill:#161b1f;stroke:#283138}.text{fill:#e4e9ec}"
	".dim{fill:#96a3ab}.grid{stroke:#283138}.a{fill:#2fbf91}.b{fill:#5f97f5}}"
	"</style>\n";

/* One layer of a panel: a column, and the one it stands upon. */
struct area {
	const char *class;
	struct report_column column;
	bool has_below;
	struct report_column below;
};

struct panel {
	const struct report_data *data;
	FILE *out;
	int left;
	int64_t first_ns, last_ns;
	double most;
};

static void put_text(FILE *out, const char *text)
{
	char shown[160];

	text_show(shown, sizeof(shown), text);
	for (const char *c = shown; *c; c++) {
		if (*c == '<')
			fputs("&lt;", out);
		else if (*c == '&')
			fputs("&amp;", out);
		else
			fputc(*c, out);
	}
}

static double x_of(const struct panel *panel, int64_t wall_ns)
{
	double span = (double)(panel->last_ns - panel->first_ns);

	return panel->left +
	       (span > 0 ? (double)(wall_ns - panel->first_ns) / span * PANEL_WIDE : 0);
}

static double y_of(const struct panel *panel, double value)
{
	return PANEL_TOP + PANEL_HIGH - value / panel->most * PANEL_HIGH;
}

static bool height_at(
	const struct report_rows *rows, size_t row, const struct area *area, double *ret)
{
	double below = 0;

	if (!report_cell(rows, row, &area->column, ret))
		return false;
	if (area->has_below && report_cell(rows, row, &area->below, &below))
		*ret += below;
	return true;
}

/* Rows that fall on one pixel are drawn as the highest of them, so that no peak is lost. */
static bool pixel_height(const struct report_rows *rows, size_t from, size_t until,
	const struct area *area, double *ret)
{
	bool known = false;
	double value;

	for (size_t i = from; i < until; i++)
		if (height_at(rows, i, area, &value) && (!known || value > *ret)) {
			*ret = value;
			known = true;
		}
	return known;
}

static double most_of(const struct report_rows *rows, const struct area *area, double least)
{
	double value, most = least;

	for (size_t i = 0; i < rows->count; i++)
		if (height_at(rows, i, area, &value) && value > most)
			most = value;
	return most;
}

static void put_area(const struct panel *panel, const struct area *area)
{
	const struct report_rows *rows = &panel->data->total.rows;
	size_t step = rows->count / POINTS + 1;
	bool open = false;
	double height = 0, x = panel->left;

	fprintf(panel->out, "<path class=\"%s\" d=\"", area->class);
	for (size_t i = 0; i < rows->count; i += step) {
		size_t until = i + step < rows->count ? i + step : rows->count;
		bool known = pixel_height(rows, i, until, area, &height);

		if (!known && open)
			fprintf(panel->out, "V%dZ", PANEL_TOP + PANEL_HIGH);
		if (known) {
			x = x_of(panel, rows->rows[until - 1].last.wall_ns);
			if (!open)
				fprintf(panel->out, "M%.1f,%d", x, PANEL_TOP + PANEL_HIGH);
			fprintf(panel->out, "L%.1f,%.1f", x, y_of(panel, height));
		}
		open = known;
	}
	if (open)
		fprintf(panel->out, "V%dZ", PANEL_TOP + PANEL_HIGH);
	fputs("\"/>\n", panel->out);
}

/* @figure  What stands above the curve; @most  What its highest line means. */
static void put_frame(
	const struct panel *panel, const char *label, const char *figure, const char *most)
{
	char span[FORMAT_SIZE];
	int right = panel->left + PANEL_WIDE, bottom = PANEL_TOP + PANEL_HIGH;

	fprintf(panel->out, "<text class=\"dim\" x=\"%d\" y=\"56\">", panel->left);
	put_text(panel->out, label);
	fprintf(panel->out, "</text><text class=\"text figure\" x=\"%d\" y=\"78\">", panel->left);
	put_text(panel->out, figure);
	fprintf(panel->out, "</text><text class=\"dim\" x=\"%d\" y=\"78\" text-anchor=\"end\">",
		right);
	put_text(panel->out, most);
	fprintf(panel->out,
		"</text><path class=\"grid\" d=\"M%d,%dH%dM%d,%dH%d\"/>"
		"<text class=\"dim\" x=\"%d\" y=\"%d\">0</text>"
		"<text class=\"dim\" x=\"%d\" y=\"%d\" text-anchor=\"end\">",
		panel->left, PANEL_TOP, right, panel->left, bottom, right, panel->left, bottom + 20,
		right, bottom + 20);
	put_text(panel->out, format_duration(span, panel->last_ns - panel->first_ns));
	fputs("</text>\n", panel->out);
}

static struct report_column column(enum column_kind kind, enum tally_metric metric)
{
	return (struct report_column){.kind = kind, .metric = metric};
}

static void put_cpu(struct panel *panel)
{
	const struct report_rows *rows = &panel->data->total.rows;
	struct report_column system = column(COLUMN_RATE, TALLY_CPU_SYSTEM);
	struct area user = {"a", column(COLUMN_RATE, TALLY_CPU_USER), true, system};
	struct area kernel = {.class = "b", .column = system};
	char figure[FORMAT_SIZE] = "not known", most[FORMAT_SIZE + 16], cores[FORMAT_SIZE];
	int64_t user_ns, system_ns;

	if (report_total(panel->data, &panel->data->total, TALLY_CPU_USER, &user_ns) &&
		report_total(panel->data, &panel->data->total, TALLY_CPU_SYSTEM, &system_ns))
		format_duration(figure, user_ns + system_ns);
	panel->most = most_of(rows, &user, 0.05);
	snprintf(most, sizeof(most), "%s cores", format_cores(cores, panel->most));
	put_frame(panel, "CPU time (blue: system)", figure, most);
	put_area(panel, &user);
	put_area(panel, &kernel);
}

static void put_memory(struct panel *panel)
{
	struct area memory = {.class = "a", .column = column(COLUMN_VALUE, TALLY_RSS)};
	char figure[FORMAT_SIZE] = "not known", most[FORMAT_SIZE];
	int64_t peak;

	if (report_total(panel->data, &panel->data->total, TALLY_RSS, &peak))
		format_bytes(figure, peak);
	panel->most = most_of(&panel->data->total.rows, &memory, 1024);
	put_frame(panel, "memory at most", figure, format_bytes(most, (int64_t)panel->most));
	put_area(panel, &memory);
}

int report_svg_write(const struct report_data *data, const char *title, FILE *out)
{
	struct panel panel = {.data = data, .out = out, .left = MARGIN};

	if (!report_extent(data, &panel.first_ns, &panel.last_ns))
		panel.first_ns = panel.last_ns = 0;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
		"height=\"%d\" role=\"img\" aria-labelledby=\"title\"><title id=\"title\">",
		WIDTH, HEIGHT, WIDTH, HEIGHT);
	put_text(out, title);
	fprintf(out, "</title>\n%s", style);
	fprintf(out,
		"<rect class=\"page\" x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"8\"/>"
		"<text class=\"text title\" x=\"%d\" y=\"30\">",
		WIDTH - 1, HEIGHT - 1, MARGIN);
	put_text(out, title);
	fputs("</text>\n", out);
	put_cpu(&panel);
	panel.left = WIDTH - MARGIN - PANEL_WIDE;
	put_memory(&panel);
	fputs("</svg>\n", out);
	return ferror(out) ? -EIO : 0;
}

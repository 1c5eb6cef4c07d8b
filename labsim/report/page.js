"use strict";
// The lanes of a run: one canvas for all of it, one for the part that is looked at.
{
  const run = JSON.parse(document.getElementById("document").textContent);
  const [ACKNOWLEDGED, REFUSED, UNKNOWN, OPEN] = [0, 1, 2, 3];
  const OUTCOMES = ["acknowledged", "refused", "outcome unknown", "never answered"];
  const GUTTER = 176, AXIS = 26, FAULT_ROW = 9, FAULT_ROWS_MAX = 8, PULSE = 46;
  const OVERVIEW = 84, REGION = 30, SHORTEST_MS = 5, OPEN_LANES_MAX = 60, MASTERS_SHOWN_MAX = 15;
  const at = (id) => document.getElementById(id);
  const overview = at("overview"), drawing = at("drawing"), scroller = at("scroller");
  const board = at("board"), hint = at("hint");
  const word = (number) => run.words[number];
  const lanes = run.lanes;
  const view = { from: 0, to: run.end, opened: new Set(), found: "" };
  const colour = {}, tones = [];
  let width = 0, height = 0, rows = [], pointer = null;

  // What is asked for at each drawing, computed once.

  const regions = run.regions.map((name, number) => ({
    name, lanes: lanes.filter((lane) => lane.region === number),
  }));
  for (const lane of lanes) {
    lane.faults = [];
    lane.wrong = [];
    lane.calls ??= []; lane.commits ??= []; lane.documents ??= []; lane.places ??= [];
    lane.down ??= []; lane.epochs ??= [];
  }
  const faults = run.faults.map(([kind, from, to, hosts, wholes, number]) => {
    const fault = {
      number, kind, from, to: Math.max(to, from), name: run.kinds[kind][0], hosts: new Set(hosts),
    };
    for (const whole of wholes) regions[whole].lanes.forEach((lane) => fault.hosts.add(lanes.indexOf(lane)));
    for (const host of fault.hosts) lanes[host].faults.push(fault);
    fault.targets = [...wholes.map((it) => run.regions[it]), ...hosts.map((it) => lanes[it].name)];
    return fault;
  });
  const faultRows = stack(faults);
  const violations = run.violations.map(([when, checker, sentence, marks], number) => {
    marks.forEach(([lane, moment]) => lanes[lane].wrong.push([moment, number]));
    return { when, checker, sentence, marks, number };
  });
  const crowns = lanes.flatMap((lane) => lane.epochs.map(([from, epoch]) => ({ lane, from, epoch })))
    .sort((one, other) => one.from - other.from);
  crowns.forEach((crown, place) => {
    const next = crowns.slice(place + 1).find((it) => it.epoch !== crown.epoch || it.lane !== crown.lane);
    const fall = crown.lane.down.find(([from]) => from >= crown.from);
    crown.to = Math.min(next ? next.from : run.end, fall ? fall[0] : run.end);
    (crown.lane.crowns ??= []).push(crown);
  });
  const hasFewMasters = lanes.filter((lane) => lane.rank === 0).length <= MASTERS_SHOWN_MAX;
  const answers = lanes.flatMap((lane) => lane.calls.map(([from, lasted, count, outcome]) =>
    [from + lasted, outcome, count])).sort((one, other) => one[0] - other[0]);

  /** Rows in which bars do not overlap; the last one takes what is left. */
  function stack(bars) {
    const ends = [];
    for (const bar of bars) {
      let row = ends.findIndex((end) => end <= bar.from);
      if (row < 0) row = Math.min(ends.length, FAULT_ROWS_MAX - 1);
      ends[row] = Math.max(ends[row] ?? 0, bar.to);
      bar.row = row;
    }
    return Math.max(ends.length, 1);
  }

  // Places and texts.

  const head = () => AXIS + faultRows * FAULT_ROW + 6 + PULSE;
  const x = (moment) => GUTTER + (moment - view.from) / (view.to - view.from) * (width - GUTTER);
  const moment = (place) => view.from + (place - GUTTER) / (width - GUTTER) * (view.to - view.from);
  const whole = (moment) => GUTTER + moment / run.end * (width - GUTTER);

  function time(milliseconds, digits = 3) {
    const seconds = milliseconds / 1000;
    if (run.end < 600000) return `${seconds.toFixed(digits)} s`;
    const pad = (number) => String(Math.floor(number)).padStart(2, "0");
    const rest = (seconds % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    return `${Math.floor(seconds / 3600)}:${pad(seconds / 60 % 60)}:${rest}`;
  }

  /** The colour of a kind of faults, as light as dark paper needs it. */
  function tone(kind, isDark) {
    const parts = run.kinds[kind][1].match(/[0-9a-f]{2}/gi).map((it) => parseInt(it, 16));
    const light = (.2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2]) / 255;
    const white = isDark ? Math.max(0, .5 - light) : 0;
    return `rgb(${parts.map((it) => Math.round(it + (255 - it) * white)).join(" ")})`;
  }

  function readColours() {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    run.kinds.forEach((_, kind) => { tones[kind] = tone(kind, isDark); });
    for (const fault of faults) fault.colour = tones[fault.kind];
    const style = getComputedStyle(document.documentElement);
    for (const name of ["paper", "shade", "stripe", "line", "ink", "faint", "accent", "acknowledged",
      "question", "refused", "unknown", "commit", "document", "place", "epoch", "reign", "down", "on-down", "wrong"]) {
      colour[name] = style.getPropertyValue(`--${name}`).trim();
    }
  }

  function layOut() {
    const isShown = (lane) => view.found ? lane.name.toLowerCase().includes(view.found)
      : view.opened.has(lane.region) || lane.wrong.length > 0 || (lane.rank === 0 && hasFewMasters);
    const shown = regions.map((region) => region.lanes.filter(isShown));
    const count = shown.reduce((sum, some) => sum + some.length, 0);
    const tall = count <= 60 ? 20 : count <= 200 ? 13 : 7;
    rows = [];
    let y = 0;
    regions.forEach((region, number) => {
      if (!region.lanes.length) return;
      rows.push({ region, number, y, height: REGION });
      y += REGION;
      for (const lane of shown[number]) {
        rows.push({ lane, y, height: lane.wrong.length ? Math.max(tall, 16) : tall });
        y += rows.at(-1).height;
      }
    });
    const most = Math.max(320, Math.min(window.innerHeight * .75, 1000));
    const high = Math.min(most, y + head());
    scroller.style.height = `${high}px`;
    at("height").style.height = `${y + head() - high}px`;
  }

  function size(canvas, wide, high) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    canvas.style.width = `${wide}px`;
    canvas.style.height = `${high}px`;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = "12px system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif";
    pen.textBaseline = "middle";
    return pen;
  }

  // Drawing.

  function bar(pen, from, to, y, high, fill, alpha = 1) {
    const left = Math.max(x(from), GUTTER), right = Math.min(x(to), width);
    if (right < GUTTER || left > width) return;
    pen.globalAlpha = alpha;
    pen.fillStyle = fill;
    pen.fillRect(left, y, Math.max(right - left, 1), high);
    pen.globalAlpha = 1;
  }

  function text(pen, words, left, y, fill = colour.ink, weight = 400, most = 0) {
    pen.font = pen.font.replace(/^(\d+ )?/, "").replace(/^/, `${weight} `);
    pen.fillStyle = fill;
    let shown = words;
    while (most && shown.length > 1 && pen.measureText(shown).width > most) {
      shown = shown.slice(0, -2).trimEnd() + "…";
    }
    pen.fillText(shown, left, y);
  }

  /** Answers in columns: [acknowledged, refused, unknown] of each. */
  function columns(some, from, to, count) {
    const found = Array.from({ length: count }, () => [0, 0, 0]);
    for (const [end, outcome, weight] of some) {
      const column = Math.floor((end - from) / (to - from) * count);
      if (column >= 0 && column < count) found[column][Math.min(outcome, UNKNOWN)] += weight;
    }
    return found;
  }

  function pulse(pen, some, from, to, left, wide, y, high) {
    const count = Math.max(1, Math.floor(wide / 3));
    const found = columns(some, from, to, count);
    const most = found.reduce((top, it) => Math.max(top, it[0] + it[1] + it[2]), 1);
    const step = wide / count;
    found.forEach((it, column) => {
      let base = y + high;
      for (const [number, fill] of [[0, colour.acknowledged], [1, colour.refused], [2, colour.unknown]]) {
        if (!it[number]) continue;
        const tall = Math.max(1.5, it[number] / most * high);
        base -= tall;
        pen.fillStyle = fill;
        pen.fillRect(left + column * step, base, Math.max(step - .6, .8), tall);
      }
    });
    return most;
  }

  function drawOverview() {
    const pen = size(overview, width, OVERVIEW);
    const wide = width - GUTTER;
    pen.fillStyle = colour.shade;
    pen.fillRect(0, 0, width, OVERVIEW);
    const phases = run.phases;
    phases.forEach(([from, name], place) => {
      const left = whole(from), right = whole(place + 1 < phases.length ? phases[place + 1][0] : run.end);
      pen.fillStyle = { faults: colour.wrong, healed: colour.acknowledged }[name] ?? colour.faint;
      pen.globalAlpha = .12;
      pen.fillRect(left, 0, right - left, 18);
      pen.globalAlpha = 1;
      if (right - left > 30) text(pen, name, left + 5, 9.5, colour.faint, 600, right - left - 8);
    });
    for (const fault of faults) {
      pen.globalAlpha = .85;
      pen.fillStyle = fault.colour;
      const left = whole(fault.from);
      pen.fillRect(left, 20 + fault.row * 3, Math.max(whole(fault.to) - left, 1.5), 2.4);
    }
    pen.globalAlpha = 1;
    pulse(pen, answers, 0, run.end, GUTTER, wide, 46, OVERVIEW - 50);
    pen.fillStyle = colour.wrong;
    for (const it of violations) pen.fillRect(whole(it.when) - 1, 18, 2, OVERVIEW - 18);
    text(pen, "whole run", 12, 9.5, colour.faint, 600);
    text(pen, "faults", 12, 29, colour.faint);
    text(pen, "answers", 12, 62, colour.faint);
    pen.fillStyle = colour.ink;
    pen.globalAlpha = .13;
    pen.fillRect(GUTTER, 0, whole(view.from) - GUTTER, OVERVIEW);
    pen.fillRect(whole(view.to), 0, width - whole(view.to), OVERVIEW);
    pen.globalAlpha = 1;
    pen.strokeStyle = colour.accent;
    pen.lineWidth = 1.5;
    pen.strokeRect(whole(view.from), .75, Math.max(whole(view.to) - whole(view.from), 2), OVERVIEW - 1.5);
  }

  function drawHead(pen) {
    const high = head();
    pen.fillStyle = colour.paper;
    pen.fillRect(0, 0, width, high);
    const span = view.to - view.from;
    const raw = span / Math.max(2, (width - GUTTER) / 110);
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000,
      120000, 300000, 600000, 1800000, 3600000, 7200000, 21600000, 43200000, 86400000, 604800000];
    const step = steps.find((it) => it >= raw) ?? steps.at(-1);
    const digits = step < 10 ? 3 : step < 1000 ? 2 : 0;
    for (let tick = Math.ceil(view.from / step) * step; tick <= view.to; tick += step) {
      const words = time(tick, digits);
      pen.fillStyle = colour.line;
      pen.fillRect(x(tick), AXIS - 7, 1, high - AXIS + 7);
      if (x(tick) + 8 + pen.measureText(words).width < width) text(pen, words, x(tick) + 4, 11, colour.faint);
    }
    text(pen, "faults", 12, AXIS + faultRows * FAULT_ROW / 2 + 2, colour.faint);
    for (const fault of faults) {
      const y = AXIS + fault.row * FAULT_ROW;
      bar(pen, fault.from, Math.max(fault.to, fault.from + span / 400), y, FAULT_ROW - 2, fault.colour);
    }
    const y = AXIS + faultRows * FAULT_ROW + 4;
    text(pen, "answers", 12, y + PULSE / 2, colour.faint);
    const most = pulse(pen, answers, view.from, view.to, GUTTER, width - GUTTER, y, PULSE - 6);
    text(pen, `${most}`, GUTTER - 6 - pen.measureText(`${most}`).width, y + 6, colour.faint);
    pen.fillStyle = colour.line;
    pen.fillRect(0, high - 1, width, 1);
  }

  function drawRegion(pen, row, y) {
    const { region, number } = row;
    const isOpen = view.opened.has(number);
    pen.fillStyle = colour.shade;
    pen.fillRect(0, y, width, row.height);
    const mean = new Map();
    for (const lane of region.lanes) {
      for (const fault of lane.faults) mean.set(fault, (mean.get(fault) ?? 0) + 1 / region.lanes.length);
    }
    for (const [fault, part] of mean) bar(pen, fault.from, fault.to, y, row.height - 1, fault.colour, .12 + .4 * part);
    const wide = width - GUTTER, count = Math.max(1, Math.floor(wide / 2));
    const change = new Float64Array(count + 1);
    const column = (when) => Math.min(count, Math.max(0, Math.floor((when - view.from) / (view.to - view.from) * count)));
    for (const lane of region.lanes) {
      for (const [from, to] of lane.down) {
        if (to < view.from || from > view.to) continue;
        change[column(from)] += 1;
        change[Math.max(column(to), column(from) + 1)] -= 1;
      }
    }
    pen.fillStyle = colour.down;
    let dark = 0;
    for (let place = 0; place < count; place += 1) {
      dark += change[place];
      if (dark > 0) {
        const tall = Math.max(2, dark / region.lanes.length * (row.height - 8));
        pen.fillRect(GUTTER + place * wide / count, y + 1, wide / count + .5, tall);
      }
    }
    const some = region.lanes.flatMap((lane) => lane.calls.map(([from, lasted, weight, outcome]) => [from + lasted, outcome, weight]));
    pulse(pen, some, view.from, view.to, GUTTER, wide, y + row.height - 14, 12);
    for (const lane of region.lanes) {
      for (const crown of lane.crowns ?? []) bar(pen, crown.from, crown.to, y + row.height - 4, 3, colour.epoch);
    }
    pen.fillStyle = colour.line;
    pen.fillRect(0, y + row.height - 1, width, 1);
    pen.fillStyle = colour.faint;
    pen.beginPath();
    const [left, middle] = [14, y + row.height / 2];
    if (isOpen) { pen.moveTo(left - 5, middle - 3); pen.lineTo(left + 5, middle - 3); pen.lineTo(left, middle + 4); }
    else { pen.moveTo(left - 3, middle - 5); pen.lineTo(left + 4, middle); pen.lineTo(left - 3, middle + 5); }
    pen.fill();
    const label = `${region.lanes.length}`;
    text(pen, region.name, 26, middle + .5, colour.ink, 650, GUTTER - 70);
    text(pen, label, GUTTER - 10 - pen.measureText(label).width, middle + .5, colour.faint);
  }

  function drawLane(pen, row, y, isOdd) {
    const { lane, height: high } = row;
    if (isOdd) { pen.fillStyle = colour.stripe; pen.fillRect(0, y, width, high); }
    const isSeen = ([from, lasted]) => from <= view.to && from + lasted >= view.from;
    for (const fault of lane.faults) {
      bar(pen, fault.from, fault.to, y, high, fault.colour, .25);
      bar(pen, fault.from, fault.to, y, Math.min(2, high / 4), fault.colour);
    }
    for (const crown of lane.crowns ?? []) {
      bar(pen, crown.from, crown.to, y + 1, high - 2, colour.reign, .9);
      bar(pen, crown.from, crown.from, y + 1, high - 2, colour.epoch);
    }
    for (const mark of lane.documents.filter(isSeen)) {
      bar(pen, mark[0], mark[0] + mark[1], y + high * .7, high * .3, colour.document);
    }
    for (const mark of lane.commits.filter(isSeen)) {
      bar(pen, mark[0], mark[0] + mark[1], y + high * .25, high * .5, colour.commit, .8);
    }
    for (const mark of lane.calls.filter(isSeen)) {
      const [from, lasted, , outcome, , , wanted] = mark;
      const isQuestion = word(wanted) === "";
      if (outcome === ACKNOWLEDGED) {
        bar(pen, from, from + lasted, y + high * .3, high * .4, isQuestion ? colour.question : colour.acknowledged);
      } else {
        bar(pen, from, from + lasted, y + 1, high - 2, outcome === REFUSED ? colour.refused : colour.unknown, .35);
        bar(pen, from + lasted, from + lasted, y + 1, high - 2, outcome === REFUSED ? colour.refused : colour.unknown);
      }
    }
    for (const mark of lane.places.filter(isSeen)) {
      const left = x(mark[0]), tall = Math.min(high / 2 - 1, 5);
      if (left < GUTTER) continue;
      pen.fillStyle = colour.place;
      pen.beginPath();
      pen.moveTo(left, y + high / 2 - tall); pen.lineTo(left + tall, y + high / 2);
      pen.lineTo(left, y + high / 2 + tall); pen.lineTo(left - tall, y + high / 2);
      pen.fill();
    }
    for (const { from, to, epoch } of lane.crowns ?? []) {
      const left = Math.max(x(from), GUTTER), room = x(to) - left;
      if (high < 12 || room < 26 || left > width) continue;
      const label = `epoch ${epoch}`;
      const wide = Math.min(pen.measureText(label).width * 1.1 + 10, room - 3);
      pen.fillStyle = colour.reign;
      pen.fillRect(left + 1, y + 2, wide, high - 4);
      text(pen, label, left + 4, y + high / 2 + .5, colour.epoch, 600, wide - 2);
    }
    for (const [from, to] of lane.down) {
      bar(pen, from, to, y + 1, high - 2, colour.down, .88);
      if (high >= 12 && x(to) - x(from) > 40) {
        text(pen, "down", Math.max(x(from), GUTTER) + 5, y + high / 2 + .5, colour["on-down"], 400, x(to) - Math.max(x(from), GUTTER) - 8);
      }
    }
    pen.fillStyle = colour.line;
    pen.globalAlpha = .5;
    pen.fillRect(0, y + high - 1, width, 1);
    pen.globalAlpha = 1;
    if (high >= 12) {
      text(pen, lane.name, 26, y + high / 2 + .5, lane.wrong.length ? colour.wrong : colour.ink, lane.wrong.length ? 650 : 400, GUTTER - 36);
    } else if (lane.wrong.length) {
      pen.fillStyle = colour.wrong;
      pen.fillRect(26, y + 1, 40, high - 2);
    }
  }

  function drawWrong(pen) {
    const top = head();
    const shift = scroller.scrollTop;
    pen.save();
    for (const it of violations) {
      const place = x(it.when);
      if (place < GUTTER || place > width) continue;
      pen.strokeStyle = colour.wrong;
      pen.setLineDash([4, 4]);
      pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(place, AXIS); pen.lineTo(place, height); pen.stroke();
      pen.setLineDash([]);
    }
    pen.beginPath();
    pen.rect(GUTTER, top, width, height);
    pen.clip();
    for (const row of rows) {
      for (const [when, number] of row.lane ? row.lane.wrong : []) {
        const place = x(when), y = row.y - shift + top + row.height / 2;
        pen.strokeStyle = colour.wrong;
        pen.lineWidth = 2;
        pen.beginPath(); pen.arc(place, y, 8, 0, 7); pen.stroke();
        text(pen, `${number + 1}`, place + 11, y, colour.wrong, 700);
      }
    }
    pen.restore();
    const flags = [];
    for (const it of violations) {
      const place = x(it.when);
      if (place < GUTTER || place > width) continue;
      const near = flags.at(-1);
      if (near && place - near.place < 18) { near.last = it.number + 1; continue; }
      flags.push({ place, first: it.number + 1, last: it.number + 1 });
    }
    for (const { place, first, last } of flags) {
      const label = first === last ? `${first}` : `${first}–${last}`;
      const wide = Math.max(17, pen.measureText(label).width + 9);
      const left = Math.min(place - 8, width - wide - 2);
      pen.fillStyle = colour.wrong;
      pen.beginPath(); pen.roundRect(left, AXIS - 9, wide, 17, 8); pen.fill();
      text(pen, label, left + (wide - pen.measureText(label).width) / 2, AXIS, colour.paper, 700);
    }
  }

  function draw() {
    width = board.clientWidth;
    height = scroller.clientHeight;
    drawOverview();
    const pen = size(drawing, width, height);
    pen.fillStyle = colour.paper;
    pen.fillRect(0, 0, width, height);
    const top = head(), shift = scroller.scrollTop;
    rows.forEach((row, place) => {
      const y = row.y - shift + top;
      if (y + row.height < top || y > height) return;
      if (row.region) drawRegion(pen, row, y);
      else drawLane(pen, row, y, place % 2 === 1);
    });
    drawHead(pen);
    drawWrong(pen);
    pen.fillStyle = colour.line;
    pen.fillRect(GUTTER - 1, 0, 1, height);
    at("window").textContent = `${time(view.from)} to ${time(view.to)}`;
  }

  let isWaiting = false;
  function redraw() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; draw(); });
  }

  // Moving.

  function look(from, to) {
    const span = Math.min(run.end, Math.max(SHORTEST_MS, to - from));
    view.from = Math.min(Math.max(0, from), run.end - span);
    view.to = view.from + span;
    redraw();
  }

  function zoom(factor, around = (view.from + view.to) / 2) {
    look(around - (around - view.from) * factor, around + (view.to - around) * factor);
  }

  function show(number) {
    const it = violations[number];
    const moments = [it.when, ...it.marks.map(([, when]) => when)];
    const [first, last] = [Math.min(...moments), Math.max(...moments)];
    const room = Math.max((last - first) * .25, Math.min(run.end * .02, 5000));
    look(first - room, last + room);
    const row = rows.find((each) => each.lane && it.marks.some(([lane]) => lanes[lane] === each.lane));
    if (row) scroller.scrollTop = Math.max(0, row.y - 80);
    scroller.scrollIntoView({ block: "nearest" });
  }

  function describe(px, py) {
    const lines = [];
    const when = moment(px);
    const near = (view.to - view.from) / (width - GUTTER) * 4;
    const close = (from, to) => from - near <= when && to + near >= when;
    const describeFaults = (some) => some.filter((it) => close(it.from, it.to)).slice(0, 6).forEach((it) =>
      lines.push(`▮ ${it.name} of ${it.targets.slice(0, 4).join(", ")}${it.targets.length > 4 ? " …" : ""}, ${time(it.from)} to ${time(it.to)}`));
    violations.filter((it) => close(it.when, it.when)).slice(0, 3).forEach((it) =>
      lines.push(`✖ ${it.number + 1}: ${it.sentence}`));
    if (py < head()) {
      describeFaults(faults);
      return lines;
    }
    const y = py - head() + scroller.scrollTop;
    const row = rows.find((it) => y >= it.y && y < it.y + it.height);
    if (!row) return lines;
    if (row.region) {
      const dark = row.region.lanes.filter((lane) => lane.down.some(([from, to]) => from <= when && when < to));
      lines.unshift(`${row.region.name}: ${row.region.lanes.length - dark.length} of ${row.region.lanes.length} up`);
      describeFaults(faults.filter((fault) => row.region.lanes.some((lane) => lane.faults.includes(fault))));
      return lines;
    }
    const lane = row.lane;
    lines.unshift(`${lane.name} in ${run.regions[lane.region]}`);
    lane.down.filter(([from, to]) => close(from, to)).slice(0, 2).forEach(([from, to]) =>
      lines.push(`down from ${time(from)} to ${time(to)}`));
    (lane.crowns ?? []).filter((it) => close(it.from, it.to)).slice(0, 2).forEach((it) =>
      lines.push(`epoch ${it.epoch} from ${time(it.from)}`));
    const times = (count) => count > 1 ? `, and ${count - 1} more close by` : "";
    lane.calls.filter(([from, lasted]) => close(from, from + lasted)).slice(0, 4).forEach(
      ([from, lasted, count, outcome, verb, subject, wanted]) => lines.push(
        `${word(verb)} ${word(subject)}${word(wanted) ? ` → ${word(wanted)}` : ""}: ${OUTCOMES[outcome]} at ${time(from + lasted)} after ${(lasted / 1000).toFixed(3)} s${times(count)}`));
    lane.commits.filter(([from, lasted]) => close(from, from + lasted)).slice(0, 3).forEach(([from, , count, tid, objects]) =>
      lines.push(`${word(tid) ? `committed ${word(tid)}, ${objects} objects` : "a transaction in doubt"}, at ${time(from)}${times(count)}`));
    lane.documents.filter(([from, lasted]) => close(from, from + lasted)).slice(0, 2).forEach(([from, , count, tid]) =>
      lines.push(`took its document as of ${word(tid)} at ${time(from)}${times(count)}`));
    lane.places.filter(([from, lasted]) => close(from, from + lasted)).slice(0, 3).forEach(([from, , count, partition, instance]) =>
      lines.push(`${word(partition)}: ${word(instance) || "free"} at ${time(from)}${times(count)}`));
    describeFaults(lane.faults);
    return lines;
  }

  function point(event) {
    const box = drawing.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const lines = px >= GUTTER || py >= head() ? describe(Math.max(px, GUTTER), py) : [];
    hint.hidden = lines.length === 0;
    if (hint.hidden) return;
    hint.textContent = px >= GUTTER ? `${time(moment(px))}\n${lines.join("\n")}` : lines[0];
    const frame = board.getBoundingClientRect();
    const left = event.clientX - frame.left + 16, top = event.clientY - frame.top + 16;
    hint.style.left = `${Math.max(0, Math.min(left, frame.width - hint.offsetWidth - 8))}px`;
    hint.style.top = `${top + hint.offsetHeight > frame.height ? Math.max(0, top - hint.offsetHeight - 32) : top}px`;
  }

  drawing.addEventListener("pointerdown", (event) => {
    pointer = { x: event.clientX, y: event.clientY, from: view.from, to: view.to, scroll: scroller.scrollTop, isMoved: false };
    drawing.setPointerCapture(event.pointerId);
  });
  drawing.addEventListener("pointermove", (event) => {
    if (!pointer) { point(event); return; }
    const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
    pointer.isMoved ||= Math.abs(dx) + Math.abs(dy) > 4;
    if (!pointer.isMoved) return;
    hint.hidden = true;
    const shift = dx / (width - GUTTER) * (pointer.to - pointer.from);
    look(pointer.from - shift, pointer.to - shift);
    scroller.scrollTop = pointer.scroll - dy;
  });
  drawing.addEventListener("pointerup", (event) => {
    const wasMoved = pointer?.isMoved;
    pointer = null;
    if (wasMoved) return;
    const box = drawing.getBoundingClientRect();
    const y = event.clientY - box.top - head() + scroller.scrollTop;
    const row = rows.find((it) => it.region && y >= it.y && y < it.y + it.height);
    if (!row || event.clientY - box.top < head()) return;
    if (!view.opened.delete(row.number)) view.opened.add(row.number);
    layOut();
    redraw();
  });
  drawing.addEventListener("pointerleave", () => { hint.hidden = true; });
  drawing.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(Math.exp(event.deltaY * .002), moment(event.clientX - drawing.getBoundingClientRect().left));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const shift = (event.deltaX || event.deltaY) / (width - GUTTER) * (view.to - view.from);
      look(view.from + shift, view.to + shift);
    }
  }, { passive: false });
  drawing.addEventListener("keydown", (event) => {
    const step = (view.to - view.from) / 8;
    const keys = {
      "+": () => zoom(.6), "=": () => zoom(.6), "-": () => zoom(1 / .6), "0": () => look(0, run.end),
      ArrowLeft: () => look(view.from - step, view.to - step), ArrowRight: () => look(view.from + step, view.to + step),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  let chosen = null;
  const chosenAt = (event) => Math.min(Math.max(0, (event.clientX - overview.getBoundingClientRect().left - GUTTER) / (width - GUTTER) * run.end), run.end);
  overview.addEventListener("pointerdown", (event) => { chosen = chosenAt(event); overview.setPointerCapture(event.pointerId); });
  overview.addEventListener("pointermove", (event) => {
    if (chosen === null) return;
    const other = chosenAt(event);
    if (Math.abs(other - chosen) > run.end / 300) look(Math.min(chosen, other), Math.max(chosen, other));
  });
  overview.addEventListener("pointerup", (event) => {
    const other = chosenAt(event);
    if (Math.abs(other - chosen) <= run.end / 300) {
      const half = (view.to - view.from) / 2;
      look(other - half, other + half);
    }
    chosen = null;
  });

  at("in").addEventListener("click", () => zoom(.6));
  at("out").addEventListener("click", () => zoom(1 / .6));
  at("whole").addEventListener("click", () => look(0, run.end));
  at("open").addEventListener("click", () => { regions.forEach((_, number) => view.opened.add(number)); layOut(); redraw(); });
  at("shut").addEventListener("click", () => { view.opened.clear(); layOut(); redraw(); });
  at("find").addEventListener("input", (event) => { view.found = event.target.value.trim().toLowerCase(); layOut(); redraw(); });
  scroller.addEventListener("scroll", redraw);
  for (const button of document.querySelectorAll("[data-violation]")) {
    button.addEventListener("click", () => show(Number(button.dataset.violation)));
  }

  function sign(place, fill, words, style = "") {
    const item = document.createElement("span"), box = document.createElement("i");
    box.style.background = fill;
    box.style.cssText += style;
    item.append(box, words);
    place.append(item);
  }

  function legend() {
    const [kinds, signs] = [at("kinds"), at("signs")];
    kinds.replaceChildren();
    signs.replaceChildren();
    const title = (place, words) => {
      const strong = document.createElement("strong");
      strong.textContent = words;
      place.append(strong);
    };
    if (run.kinds.length) title(kinds, "faults");
    run.kinds.forEach(([name], kind) => sign(kinds, tones[kind], name));
    title(signs, "lanes");
    sign(signs, "var(--acknowledged)", "acknowledged change", "height:.35rem");
    sign(signs, "var(--question)", "answered question", "height:.35rem");
    sign(signs, "var(--refused)", "refused");
    sign(signs, "var(--unknown)", "outcome unknown");
    sign(signs, "var(--commit)", "commit", "width:2px");
    sign(signs, "var(--document)", "document taken", "width:2px;height:.4rem");
    sign(signs, "var(--place)", "instance placed", "width:.6rem;height:.6rem;transform:rotate(45deg)");
    sign(signs, "var(--reign)", "primary of an epoch", "border-left:2px solid var(--epoch)");
    sign(signs, "var(--down)", "down");
    sign(signs, "transparent", "where it went wrong", "border:2px solid var(--wrong);border-radius:50%;width:.8rem;height:.8rem");
    if (run.resolution) title(signs, `marks within ${time(run.resolution)} are one`);
  }

  if (lanes.length <= OPEN_LANES_MAX) regions.forEach((_, number) => view.opened.add(number));
  function begin() { readColours(); legend(); layOut(); draw(); }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", begin);
  new ResizeObserver(() => { layOut(); redraw(); }).observe(board);
  begin();
}

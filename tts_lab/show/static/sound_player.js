// The player widget: several sounds in step, one of them heard; waveform and mel with a moving cursor.
// All sounds play at once, each through a gain of its own, so that changing from one to another has no gap.

const FADE = 0.005; // seconds: shorter clicks, longer smears the moment of the change
const HEARD = 0.15; // seconds of a sound that count as having heard it
const WAVE = 54, MEL = 168, WORDS = 20, SECONDS = 20, LEFT = 46, RIGHT = 8; // heights and margins in CSS pixels
const ZOOM = 1.6, SHORTEST = 0.05; // factor of one step; seconds that are shown at the deepest
const STEP = 0.25; // seconds of an arrow key
const ICONS = { // paths in a square of 16: not every font has these signs
  play: "M4 2 L13 8 L4 14 Z", pause: "M4 2 H7 V14 H4 Z M9 2 H12 V14 H9 Z", home: "M3 2 H5 V14 H3 Z M13 2 L6 8 L13 14 Z",
  loop: "M8 2 A6 6 0 1 1 2.5 5.5 L4.4 6.4 A4 4 0 1 0 8 4 V6.5 L4.5 3 L8 -0.5 Z",
};
const BEGINS = "tts-lab-player-begins"; // tells the other players of the page to stop

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Sounds in step. Tells `changed` when it begins, stops, moves or takes another sound. */
class Engine {
  constructor(changed) {
    Object.assign(this, { changed, context: null, buffers: [], playing: [], chosen: 0, at: 0, since: null, loop: false });
  }

  load(tracks) {
    this.stop();
    this.buffers = tracks.map(({ pcm, rate }) => {
      const whole = new Int16Array(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.byteLength));
      const buffer = new AudioBuffer({ length: Math.max(whole.length, 1), sampleRate: rate });
      buffer.copyToChannel(Float32Array.from(whole, (v) => v / 32767), 0);
      return buffer;
    });
    this.at = 0;
    this.chosen = clamp(this.chosen, 0, Math.max(tracks.length - 1, 0));
  }

  get seconds() { return Math.max(0, ...this.buffers.map((b) => b.duration)); }
  get sounding() { return this.since !== null; }

  get position() {
    if (!this.sounding) return this.at;
    const gone = this.at + this.context.currentTime - this.since;
    return this.loop && this.seconds ? Math.max(gone, 0) % this.seconds : clamp(gone, 0, this.seconds);
  }

  async play() {
    if (this.sounding || !this.buffers.length) return;
    this.context ??= new AudioContext();
    await this.context.resume();
    if (this.sounding) return;
    if (this.at >= this.seconds - 0.01) this.at = 0;
    const begin = this.context.currentTime + 0.02; // all sounds at the same moment
    this.playing = this.buffers.map((buffer, i) => {
      const source = new AudioBufferSourceNode(this.context, { buffer });
      const gain = new GainNode(this.context, { gain: i === this.chosen ? 1 : 0 });
      if (this.loop) Object.assign(source, { loop: true, loopEnd: this.seconds });
      source.connect(gain).connect(this.context.destination);
      if (this.at < buffer.duration) source.start(begin, this.at);
      return { source, gain };
    });
    this.since = begin;
    this.changed();
  }

  stop() {
    if (!this.sounding) return;
    this.at = this.position;
    this.since = null;
    for (const { source, gain } of this.playing) {
      try { source.stop(); } catch { /* a sound shorter than the others was never started */ }
      gain.disconnect();
    }
    this.playing = [];
    this.changed();
  }

  async seek(second) {
    const goOn = this.sounding;
    this.stop();
    this.at = clamp(second, 0, this.seconds);
    if (goOn) await this.play();
    this.changed();
  }

  choose(index) {
    if (index < 0 || index >= this.buffers.length) return;
    this.chosen = index;
    const now = this.context?.currentTime ?? 0;
    this.playing.forEach(({ gain }, i) => gain.gain.setTargetAtTime(i === index ? 1 : 0, now, FADE / 3));
    this.changed();
  }

  async repeat(loop) {
    const goOn = this.sounding;
    this.stop();
    this.loop = loop;
    if (goOn) await this.play();
    this.changed();
  }

  /** True when the end was reached. */
  ended() { return this.sounding && !this.loop && this.position >= this.seconds; }

  close() { this.stop(); this.context?.close(); this.context = null; }
}

/** The picture of one sound: waveform, mel, what is said, seconds. `from` and `to` bound the seconds that are shown. */
class View {
  constructor(canvas, cursor) {
    Object.assign(this, { canvas, cursor, from: 0, to: 1, seconds: 1, track: null, buffer: null });
  }

  show(track, buffer, seconds) {
    if (seconds !== this.seconds || this.track === null) Object.assign(this, { from: 0, to: seconds || 1, seconds });
    Object.assign(this, { track, buffer });
    track.picture ??= track.bands ? melPicture(track) : null;
    this.draw();
  }

  get height() { return WAVE + (this.track?.bands ? MEL : 0) + (this.track?.words?.length ? WORDS : 0) + SECONDS; }
  get wide() { return Math.max(this.canvas.clientWidth - LEFT - RIGHT, 10); }
  x(second) { return LEFT + ((second - this.from) / (this.to - this.from)) * this.wide; }
  second(x) { return clamp(this.from + ((x - LEFT) / this.wide) * (this.to - this.from), 0, this.seconds); }

  zoom(factor, about) {
    const span = clamp((this.to - this.from) / factor, Math.min(SHORTEST, this.seconds), this.seconds);
    const share = clamp((about - this.from) / (this.to - this.from), 0, 1);
    this.move(about - share * span, span);
  }

  move(from, span = this.to - this.from) {
    this.from = clamp(from, 0, Math.max(this.seconds - span, 0));
    this.to = this.from + span;
    this.draw();
  }

  /** Turn the page where the cursor has left what is shown. */
  follow(second) {
    if (second > this.to || second < this.from) this.move(second - 0.05 * (this.to - this.from));
  }

  brush(canvas) {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, this.height];
    canvas.style.height = `${height}px`;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const brush = canvas.getContext("2d");
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    brush.clearRect(0, 0, width, height);
    return brush;
  }

  draw() {
    if (!this.track || !this.canvas.clientWidth) return;
    this.canvas.parentElement.style.height = `${this.height}px`;
    const brush = this.brush(this.canvas);
    const style = getComputedStyle(this.canvas);
    const [ink, blue] = [style.getPropertyValue("--tts-ink"), style.getPropertyValue("--tts-wave")];
    brush.font = `11px ${style.fontFamily}`;
    this.drawWave(brush, blue);
    if (this.track.bands) this.drawMel(brush, ink);
    this.drawWords(brush, ink);
    this.drawSeconds(brush, ink);
  }

  drawWave(brush, colour) {
    const samples = this.buffer.getChannelData(0), rate = this.buffer.sampleRate, middle = WAVE / 2;
    const highest = this.track.peak || 1;
    brush.fillStyle = colour;
    for (let x = 0; x < this.wide; x++) {
      const begin = Math.floor(this.second(LEFT + x) * rate);
      const end = Math.min(Math.max(Math.floor(this.second(LEFT + x + 1) * rate), begin + 1), samples.length);
      let low = 0, high = 0;
      for (let i = begin; i < end; i++) { low = Math.min(low, samples[i]); high = Math.max(high, samples[i]); }
      const [top, bottom] = [middle - (high / highest) * (middle - 3), middle - (low / highest) * (middle - 3)];
      brush.fillRect(LEFT + x, top, 1, Math.max(bottom - top, 1));
    }
  }

  drawMel(brush, ink) {
    const { frames, frame_seconds: step, ticks, bands, picture } = this.track;
    const first = clamp(this.from / step, 0, frames), last = clamp(this.to / step, 0, frames);
    brush.imageSmoothingEnabled = false;
    if (last > first) {
      const [x0, x1] = [this.x(first * step), this.x(last * step)];
      brush.drawImage(picture, first, 0, last - first, bands, x0, WAVE, x1 - x0, MEL);
    }
    Object.assign(brush, { fillStyle: ink, textAlign: "right", textBaseline: "middle" });
    let above = Infinity; // where the last label was written
    for (const [band, hertz] of ticks) {
      const y = WAVE + MEL * (1 - band / bands), place = clamp(y, WAVE + 6, WAVE + MEL - 6);
      brush.fillRect(LEFT - 4, Math.min(y, WAVE + MEL - 1), 4, 1);
      if (above - place < 12) continue;
      brush.fillText(hertz.toLocaleString("en"), LEFT - 6, place);
      above = place;
    }
    brush.fillText("Hz", LEFT - 6, WAVE - 8);
  }

  drawWords(brush, ink) {
    const top = WAVE + (this.track.bands ? MEL : 0);
    Object.assign(brush, { fillStyle: ink, textAlign: "center", textBaseline: "middle" });
    for (const { text, start, end } of this.track.words ?? []) {
      if (end < this.from || start > this.to) continue;
      for (const edge of [start, end]) if (edge >= this.from && edge <= this.to) brush.fillRect(this.x(edge), top, 1, 5);
      const room = this.x(end) - this.x(start), x = this.x((start + end) / 2);
      if (x > LEFT && x < LEFT + this.wide && brush.measureText(text).width <= room + 4) brush.fillText(text, x, top + WORDS / 2 + 1);
    }
  }

  drawSeconds(brush, ink) {
    const span = this.to - this.from;
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 300].find((s) => (span / s) * 58 < this.wide) ?? 600;
    const y = this.height - SECONDS / 2;
    Object.assign(brush, { fillStyle: ink, textAlign: "center", textBaseline: "middle" });
    for (let i = Math.ceil(this.from / step); i * step <= this.to + 1e-9; i++) {
      const x = this.x(i * step);
      brush.fillRect(x, this.height - SECONDS, 1, 4);
      if (x < LEFT + this.wide - 14) brush.fillText((i * step).toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0), x, y + 2);
    }
    brush.textAlign = "right";
    brush.fillText("s", LEFT + this.wide + RIGHT, y + 2);
  }

  drawCursor(second) {
    const brush = this.brush(this.cursor);
    if (second < this.from || second > this.to) return;
    brush.fillStyle = getComputedStyle(this.canvas).getPropertyValue("--tts-cursor");
    brush.fillRect(this.x(second) - 0.75, 0, 1.5, this.height - SECONDS);
  }
}

/** A mel, (bands, frames) bytes with the lowest band first, as a picture with the highest on top. */
function melPicture({ mel, bands, frames, colours }) {
  const values = new Uint8Array(mel.buffer, mel.byteOffset, mel.byteLength);
  const table = new Uint8Array(colours.buffer, colours.byteOffset, colours.byteLength);
  const canvas = Object.assign(document.createElement("canvas"), { width: frames, height: bands });
  const brush = canvas.getContext("2d"), image = brush.createImageData(frames, bands);
  for (let band = 0; band < bands; band++)
    for (let frame = 0; frame < frames; frame++) {
      const to = 4 * ((bands - 1 - band) * frames + frame), from = 3 * values[band * frames + frame];
      image.data.set([table[from], table[from + 1], table[from + 2], 255], to);
    }
  brush.putImageData(image, 0, 0);
  return canvas;
}

function make(tag, name, more = {}, parent = null) {
  const element = Object.assign(document.createElement(tag), { className: name, ...more });
  parent?.append(element);
  return element;
}

/** Put a sign on a button. */
function sign(made, name) {
  made.innerHTML = `<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
}

/** A button that says what it does to those who do not see it. */
function button(parent, name, text, says, act) {
  const made = make("button", `tts-button ${name}`, { type: "button", textContent: text, title: says }, parent);
  made.setAttribute("aria-label", says);
  made.addEventListener("click", act);
  return made;
}

function render({ model, el }) {
  const root = make("div", "tts-player", { tabIndex: 0 }, el);
  root.setAttribute("role", "group");
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // a letter chooses a sound; it must not cut a cell
  const choices = make("div", "tts-choices", {}, root);
  choices.setAttribute("role", "radiogroup");
  choices.setAttribute("aria-label", "Sound that is heard");
  const stage = make("div", "tts-stage", {}, root);
  const view = new View(make("canvas", "tts-picture", {}, stage), make("canvas", "tts-cursor", {}, stage));
  const bar = make("div", "tts-bar", {}, root);
  const engine = new Engine(() => update());
  const play = button(bar, "tts-play", "", "Play (space)", () => toggle());
  const home = button(bar, "tts-home", "", "To the beginning (home)", () => engine.seek(0));
  const loop = button(bar, "tts-loop", "", "Repeat (l)", () => engine.repeat(!engine.loop));
  sign(home, "home");
  sign(loop, "loop");
  const slider = make("input", "tts-position", { type: "range", min: 0, step: 0.01 }, bar);
  slider.setAttribute("aria-label", "Position in seconds");
  slider.addEventListener("input", () => engine.seek(Number(slider.value)));
  const clock = make("span", "tts-clock", {}, bar);
  const zooms = make("span", "tts-zooms", {}, bar);
  button(zooms, "tts-in", "+", "Zoom in (+)", () => zoom(ZOOM));
  button(zooms, "tts-out", "−", "Zoom out (−)", () => zoom(1 / ZOOM));
  button(zooms, "tts-all", "↔", "Show all (0)", () => view.move(0, view.seconds));
  let tracks = [], buttons = [], sounded = [], last = null, frame = 0;

  function load() {
    tracks = model.get("tracks").map((track) => ({ ...track }));
    [sounded, buttons, engine.chosen] = [tracks.map(() => 0), [], model.get("chosen")];
    engine.load(tracks); // tells that the old sounds stopped, so that nothing of them may count as heard any more
    view.track = null;
    root.classList.toggle("tts-blind", model.get("blind"));
    root.setAttribute("aria-label", `Player: ${tracks.map((t) => t.label).join(", ")}. Space plays, digits choose a sound.`);
    choices.replaceChildren();
    buttons = tracks.map((track, i) => {
      const made = button(choices, "tts-choice", track.label, `Hear ${track.label} (${i + 1})`, () => engine.choose(i));
      made.setAttribute("role", "radio");
      return made;
    });
    choices.hidden = tracks.length < 2;
    slider.max = engine.seconds;
    update();
  }

  function update() {
    const track = tracks[engine.chosen];
    if (track) model.get("blind") ? (view.seconds = engine.seconds) : view.show(track, engine.buffers[engine.chosen], engine.seconds);
    buttons.forEach((made, i) => {
      made.setAttribute("aria-checked", i === engine.chosen);
      made.classList.toggle("tts-heard", sounded[i] >= HEARD);
    });
    sign(play, engine.sounding ? "pause" : "play");
    play.setAttribute("aria-label", engine.sounding ? "Pause (space)" : "Play (space)");
    loop.setAttribute("aria-pressed", engine.loop);
    tell();
    tick();
  }

  /** What Python may know: not the position of every frame. */
  function tell() {
    const heard = sounded.map((s) => s >= HEARD);
    const now = { chosen: engine.chosen, playing: engine.sounding, heard, position: engine.position };
    const before = model.get("heard");
    const same = heard.length === before.length && heard.every((h, i) => h === before[i]);
    if (same && now.chosen === model.get("chosen") && now.playing === model.get("playing") && engine.sounding) return;
    if (same) delete now.heard;
    model.set(now);
    model.save_changes();
  }

  function tick() {
    cancelAnimationFrame(frame);
    const at = engine.position;
    if (engine.sounding) {
      const before = sounded[engine.chosen];
      sounded[engine.chosen] += Math.max(0, Math.min(at - (last ?? at), 0.5));
      if (before < HEARD && sounded[engine.chosen] >= HEARD) { buttons[engine.chosen].classList.add("tts-heard"); tell(); }
      if (engine.ended()) { last = null; engine.stop(); return; }
    }
    last = engine.sounding ? at : null;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${at.toFixed(1)} of ${engine.seconds.toFixed(1)} seconds`);
    clock.textContent = model.get("blind") ? "" : `${at.toFixed(2)} / ${engine.seconds.toFixed(2)} s`;
    if (!model.get("blind") && view.track) {
      if (engine.sounding) view.follow(at);
      view.drawCursor(at);
    }
    if (engine.sounding) frame = requestAnimationFrame(tick);
  }

  async function toggle() {
    if (engine.sounding) return engine.stop();
    document.dispatchEvent(new CustomEvent(BEGINS, { detail: engine }));
    await engine.play();
  }

  function zoom(factor, about = engine.position) { view.zoom(factor, about); view.drawCursor(engine.position); }

  const acts = {
    " ": toggle, l: () => engine.repeat(!engine.loop), Home: () => engine.seek(0), 0: () => view.move(0, view.seconds),
    ArrowLeft: () => engine.seek(engine.position - STEP), ArrowRight: () => engine.seek(engine.position + STEP),
    "+": () => zoom(ZOOM), "=": () => zoom(ZOOM), "-": () => zoom(1 / ZOOM),
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const track = /^[1-9]$/.test(key) ? Number(key) - 1 : tracks.findIndex((t) => t.label.toLowerCase() === key);
    if (model.get("forwarded").includes(key)) model.send({ key, chosen: engine.chosen });
    else if (track >= 0 && track < tracks.length) engine.choose(track);
    else if (key === " " && event.target.tagName === "BUTTON" && event.target !== play) return; // presses that button
    else if (acts[key]) acts[key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  const aim = (event) => engine.seek(view.second(event.clientX - view.cursor.getBoundingClientRect().left));
  view.cursor.addEventListener("pointerdown", (event) => { view.cursor.setPointerCapture(event.pointerId); aim(event); root.focus(); });
  view.cursor.addEventListener("pointermove", (event) => { if (event.buttons) aim(event); });
  view.cursor.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // the wheel alone scrolls the notebook
    event.preventDefault();
    zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, view.second(event.offsetX));
  }, { passive: false });
  root.addEventListener("keydown", pressed);
  const others = (event) => { if (event.detail !== engine) engine.stop(); };
  document.addEventListener(BEGINS, others);
  const wider = new ResizeObserver(() => { view.draw(); if (view.track) view.drawCursor(engine.position); });
  wider.observe(stage);
  const chosen = () => { if (model.get("chosen") !== engine.chosen) engine.choose(model.get("chosen")); };
  const asked = (message) => {
    if (message.do === "play") engine.play();
    if (message.do === "pause") engine.stop();
    if (message.do === "seek") engine.seek(message.second);
  };
  model.on("change:loads", load); // comes with its tracks; these may be those of before
  model.on("change:chosen", chosen);
  model.on("msg:custom", asked);
  load();
  return () => {
    cancelAnimationFrame(frame);
    wider.disconnect();
    document.removeEventListener(BEGINS, others);
    for (const [name, act] of [["change:loads", load], ["change:chosen", chosen], ["msg:custom", asked]]) model.off(name, act);
    engine.close();
  };
}

export default { render };

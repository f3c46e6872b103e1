/**
 * The timeline of Prompt Edit: an axis in seconds and a mark for each timed edit.
 *
 * Marks are buttons, so that they can be reached with Tab: arrows move one (with Shift by a second), Enter rewords it,
 * Delete removes it. The pointer is served by the track below them, which asks `axis.js` what lies where.
 */
import { layOut, markAt, ticks, timeToX, xToTime } from './axis.js'
import { addEdit, changeEdit, formatSeconds, freeTime, lineAt, parseEdits, parseLines, removeEdit, shortened, trouble } from './edits.js'
import { colour, fitCanvas, localX, make, textWidth } from './drawing.js'
import { text } from './texts.js'

const INSET = 8
const DRAG_FROM = 3
const LABEL_PADDING = 18
const LEAST_LENGTH_S = 4
export const TIMELINE_HEIGHT = 104

export class Timeline {
  /**
   * @param {{read: () => string, write: (text: string) => void, length: () => {lengthS: number | null, fps: number}}} host
   *     where the text of the edits is, how long the video is (null: not known), and perhaps what it shows at first
   */
  constructor(host) {
    this.host = host
    this.marks = []
    this.drag = null
    this.element = make('div', 'pt-timeline', { role: 'group', 'aria-label': text('timeline') })
    this.canvas = make('canvas', 'pt-axis', { 'aria-hidden': 'true' })
    this.track = make('div', 'pt-track')
    this.status = make('span', 'pt-status', { role: 'status' })
    this.add = make('button', 'pt-button pt-add', { type: 'button', 'aria-label': text('add'), title: text('add') })
    this.add.textContent = '+'
    const foot = make('div', 'pt-foot')
    foot.append(this.status, this.add)
    this.element.append(this.canvas, this.track, foot)
    this._listen()
    this.observer = new ResizeObserver(() => this.redraw())
    this.observer.observe(this.track)
  }

  /** Draw the text's edits anew. Cheap enough to be called whenever something may have changed. */
  redraw() {
    const width = this.track.clientWidth
    if (!width || this.drag?.moved) return
    const first = this.host.first?.() ?? ''
    const edits = parseEdits(this.host.read()).map((edit) => ({ ...edit, label: shortened(edit.prompt, first) }))
    const { lengthS } = this.host.length()
    const last = edits.at(-1)?.startS ?? 0
    this.axis = { width, inset: INSET, lengthS: lengthS ?? Math.max(LEAST_LENGTH_S, Math.ceil(last + 1)) }
    this.marks = layOut(edits, this.axis, (label) => textWidth(label, this.track) + LABEL_PADDING)
    this._drawAxis(lengthS === null)
    this._drawMarks()
    this.drawn = this._seen()
    if (!this.hovered) this._say()
  }

  /** Draw again if the text or what is noted about it is another than what was drawn. */
  refresh() {
    if (this.drawn !== this._seen()) this.redraw()
  }

  _seen() {
    return [this.host.read(), this.host.first?.(), this.host.notes?.()].join('\n')
  }

  /** Let go of everything that outlives the element. */
  remove() {
    this.observer.disconnect()
  }

  _drawAxis(unknown) {
    const { context, width, height } = fitCanvas(this.canvas)
    const ink = colour(this.element, '--pt-quiet', '#999')
    context.clearRect(0, 0, width, height)
    context.font = '10px sans-serif'
    context.textBaseline = 'top'
    const top = this.track.offsetTop - this.canvas.offsetTop
    const bottom = top + this.track.clientHeight
    for (const tick of ticks(this.axis)) {
      context.globalAlpha = 0.25
      context.fillStyle = ink
      context.fillRect(Math.round(tick.x), top - 4, 1, bottom - top + 4)
      context.globalAlpha = unknown ? 0.5 : 1
      const half = context.measureText(tick.label).width / 2
      context.fillText(tick.label, Math.min(width - 2 * half - 1, Math.max(1, tick.x - half)), 1)
    }
    context.globalAlpha = 0.28
    this.marks.forEach((mark, number) => {
      context.fillStyle = hue(number)
      if (!mark.late) context.fillRect(mark.x, top + 2, Math.max(0, mark.endX - mark.x - 1), bottom - top - 4)
    })
    context.globalAlpha = 1
  }

  _drawMarks() {
    const focused = this.track.contains(document.activeElement) ? document.activeElement.dataset.line : undefined
    const buttons = this.marks.map((mark, number) => {
      const button = make('button', 'pt-mark', { type: 'button', 'aria-label': this._describe(mark) })
      button.dataset.line = String(mark.line)
      button.textContent = mark.label
      button.classList.toggle('pt-late', mark.late)
      button.style.left = `${mark.x}px`
      button.style.width = `${mark.width}px`
      button.style.setProperty('--pt-hue', hue(number))
      return button
    })
    for (const old of this.track.querySelectorAll('.pt-mark')) old.remove()
    this.track.prepend(...buttons) // an open text field stays where it is: moving it would close it
    if (focused !== undefined) this._button(Number(focused))?.focus()
  }

  _describe(mark) {
    const next = this.marks.find((each) => each.startS > mark.startS)
    const end = mark.late ? ` (${text('late')})` : next ? ` ${text('until')} ${formatSeconds(next.startS)} s` : ''
    return `${formatSeconds(mark.startS)} s${end}: ${mark.prompt}`
  }

  _say(words) {
    const warning = words ? null : this._warning()
    const usual = this.host.length().lengthS === null ? text('unknownLength') : text('hint')
    this.status.textContent = words ?? warning ?? usual
    this.status.classList.toggle('pt-warning', Boolean(warning))
    this.status.title = this.status.textContent
  }

  _warning() {
    const found = trouble(this.host.read()) ?? this.host.notes?.()
    if (typeof found === 'string') return found
    if (found?.raw) return `${text('unreadable')}: ${found.raw}`
    if (found) return `${text('twice')} ${formatSeconds(found.startS)} s`
    const late = this.marks.find((mark) => mark.late)
    return late ? this._describe(late) : null
  }

  _button(line) {
    return this.track.querySelector(`[data-line="${line}"]`)
  }

  _write(value) {
    this.host.write(value)
    this.redraw()
  }

  _time(line, startS) {
    return freeTime(this.host.read(), line, startS, this.host.length().fps, this.axis.lengthS)
  }

  _move(mark, startS) {
    const placed = this._time(mark.line, startS)
    this._write(changeEdit(this.host.read(), mark.line, { startS: placed }))
    const line = lineAt(this.host.read(), placed)
    const moved = this.marks.find((each) => each.line === line)
    this._say(moved && this._describe(moved))
    this._button(line)?.focus()
  }

  /** Ask for the text of a mark (an existing one, or none for a new one at `startS`) where it stands. */
  _ask(startS, mark = null) {
    this.input?.remove()
    const input = make('input', 'pt-input', { type: 'text', placeholder: text('prompt'), 'aria-label': text('prompt') })
    input.value = mark?.prompt ?? ''
    const x = timeToX(startS, this.axis)
    input.style.left = `${Math.max(0, Math.min(x, this.axis.width - 160))}px`
    const close = (keep) => {
      if (this.input !== input) return
      this.input = null
      input.remove()
      if (keep) this._take(input.value.trim(), startS, mark)
      this._say()
    }
    input.addEventListener('blur', () => close(true))
    input.addEventListener('keydown', (event) => {
      event.stopPropagation()
      if (event.key === 'Enter') close(true)
      if (event.key === 'Escape') close(false)
    })
    this.input = input
    this.track.append(input)
    input.focus()
    input.select()
    this._say(`${formatSeconds(startS)} s`)
  }

  /** Take over what was typed: a prompt, or `seconds: prompt`, which also says when. */
  _take(typed, startS, mark) {
    const [line] = parseLines(typed)
    const timed = line && line.startS !== null
    const prompt = timed ? line.prompt : typed
    if (!prompt) return
    const when = timed ? this._time(mark?.line ?? -1, line.startS) : startS
    const now = this.host.read()
    if (!mark) this._write(addEdit(now, when, prompt))
    else if (timed || prompt !== mark.prompt) this._write(changeEdit(now, mark.line, { startS: when, prompt }))
  }

  _listen() {
    this.track.addEventListener('pointerdown', (event) => this._down(event))
    this.track.addEventListener('pointermove', (event) => this._pointerMove(event))
    this.track.addEventListener('pointerup', (event) => this._up(event))
    this.track.addEventListener('pointercancel', () => this._cancel())
    this.track.addEventListener('pointerleave', () => this._hover(null))
    this.track.addEventListener('dblclick', (event) => this._doubleClick(event))
    this.track.addEventListener('contextmenu', (event) => this._rightClick(event))
    this.track.addEventListener('keydown', (event) => this._key(event))
    this.add.addEventListener('click', () => {
      const last = this.marks.findLast((mark) => !mark.late)
      this._ask(this._time(-1, ((last?.startS ?? 0) + this.axis.lengthS) / 2))
    })
    this.element.addEventListener('pointerenter', () => {
      this.host.refresh?.()
      this.redraw()
    })
    this.element.addEventListener('pointerdown', (event) => event.stopPropagation())
  }

  _down(event) {
    if (event.button !== 0 || event.target === this.input) return
    const x = localX(event, this.track)
    const mark = markAt(this.marks, x)
    event.preventDefault()
    this.input?.blur()
    this.track.setPointerCapture(event.pointerId)
    this.drag = { mark, x, moved: false }
    if (mark) this._button(mark.line)?.focus()
  }

  _pointerMove(event) {
    const x = localX(event, this.track)
    if (!this.drag) return this._hover(event.target === this.input ? null : x)
    const { mark } = this.drag
    if (!mark || (!this.drag.moved && Math.abs(x - this.drag.x) < DRAG_FROM)) return
    this.drag.moved = true
    // What is under the pointer is drawn at once; the text changes once, when the pointer is let go.
    this.drag.startS = this._time(mark.line, xToTime(timeToX(mark.startS, this.axis) + x - this.drag.x, this.axis))
    const button = this._button(mark.line)
    if (button) button.style.left = `${timeToX(this.drag.startS, this.axis)}px`
    button?.classList.add('pt-dragged')
    this._say(`${formatSeconds(this.drag.startS)} s: ${mark.prompt}`)
  }

  _up(event) {
    const { drag } = this
    this.drag = null
    if (!drag) return
    if (drag.moved) this._move(drag.mark, drag.startS)
    else if (!drag.mark) this._ask(this._time(-1, xToTime(localX(event, this.track), this.axis)))
  }

  _cancel() {
    this.drag = null
    this.redraw()
  }

  _hover(x) {
    const mark = x === null ? null : markAt(this.marks, x)
    this.track.style.cursor = mark ? 'grab' : 'copy'
    this.hovered = mark
    if (x === null) this._say()
    else if (!this.input) this._say(mark ? this._describe(mark) : `${text('add')}: ${formatSeconds(this._time(-1, xToTime(x, this.axis)))} s`)
  }

  _doubleClick(event) {
    const mark = event.target === this.input ? null : markAt(this.marks, localX(event, this.track))
    event.stopPropagation()
    if (mark) this._ask(mark.startS, mark)
  }

  _rightClick(event) {
    if (event.target === this.input) return
    event.preventDefault()
    event.stopPropagation()
    const mark = markAt(this.marks, localX(event, this.track))
    if (mark) this._write(removeEdit(this.host.read(), mark.line))
  }

  _key(event) {
    const mark = this.marks.find((each) => String(each.line) === event.target.dataset?.line)
    if (!mark) return
    const frame = 1 / this.host.length().fps
    const step = event.shiftKey ? 1 : Math.max(frame, Math.round(0.1 / frame) * frame)
    const actions = {
      ArrowLeft: () => this._move(mark, mark.startS - step),
      ArrowRight: () => this._move(mark, mark.startS + step),
      Enter: () => this._ask(mark.startS, mark),
      Delete: () => this._write(removeEdit(this.host.read(), mark.line)),
      Backspace: () => this._write(removeEdit(this.host.read(), mark.line)),
    }
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    event.stopPropagation() // else the frontend would delete the node
    actions[event.key]()
  }
}

/** Return the colour of the n-th edit: neighbours differ clearly. */
function hue(number) {
  return `hsl(${(205 + number * 67) % 360} 62% 58%)`
}

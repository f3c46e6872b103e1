/** The player of Speech to Motion and ADFD Score: pictures as a film, with curves of the same time below. */
import { colour, fitCanvas, localX, make } from './drawing.js'
import { clock, frameAt, pictureOf, thinned } from './playback.js'
import { motionStrip } from './strips.js'
import { text } from './texts.js'

const MOST_PICTURES = 500
/** Pixels that the widget needs, reserved before there is anything to show. */
export const PLAYER_HEIGHT = 290

export class Player {
  /** `kind` draws below the film (see `strips.js`); `name` and `empty` are the keys of texts: a name, a hint. */
  constructor({ kind = motionStrip, name = 'motion', empty = 'notRun' } = {}) {
    this.kind = kind
    this.motion = null
    this.frame = 0
    this.playing = false
    this.element = make('div', 'pt-player', { role: 'group', 'aria-label': text(name) })
    this.empty = make('div', 'pt-empty')
    this.empty.textContent = text(empty)
    this.picture = make('canvas', 'pt-picture', { role: 'img', 'aria-label': text(name) })
    this.toggle = make('button', 'pt-button pt-play', { type: 'button' })
    this.time = make('span', 'pt-time')
    this.title = make('div', 'pt-title', { role: 'status' })
    this.strip = make('canvas', 'pt-strip', { role: 'slider', tabindex: '0', 'aria-label': text('seek') })
    const bar = make('div', 'pt-foot')
    const legend = make('span', 'pt-legend')
    legend.append(...kind.legend.map((each) => {
      const entry = make('span', `pt-${each}`)
      entry.textContent = text(each)
      return entry
    }))
    bar.append(this.toggle, this.time, legend)
    this.element.append(this.empty, this.picture, this.title, bar, this.strip)
    this._listen()
    this._state()
    this.observer = new ResizeObserver(() => this.draw())
    this.observer.observe(this.element)
  }

  /**
   * Show a motion.
   * @param {{fps: number, frames: number}} motion with the curves that the kind draws
   * @param {string[]} urls of its pictures, evenly taken from its frames
   * @param {string} title shown beside the time
   */
  show(motion, urls, title = '') {
    this.motion = { ...motion, ...this.kind.prepare(motion) }
    this.title.textContent = title
    this.pictures = thinned(urls, MOST_PICTURES).map((url) => {
      const image = new Image()
      image.addEventListener('load', () => this.draw())
      image.src = url
      return image
    })
    this.strip.setAttribute('aria-valuemin', '0')
    this.strip.setAttribute('aria-valuemax', String(motion.frames - 1))
    this.seek(0)
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) this.play()
    this._state()
  }

  play() {
    if (this.playing || !this.motion) return
    this.playing = true
    this.startedMs = performance.now() - (this.frame / this.motion.fps) * 1000
    const step = (nowMs) => {
      if (!this.playing) return
      const frame = frameAt(Math.max(0, nowMs - this.startedMs) / 1000, this.motion.fps, this.motion.frames)
      if (frame !== this.frame) {
        this.frame = frame
        this.draw()
      }
      this.request = requestAnimationFrame(step)
    }
    this.request = requestAnimationFrame(step)
    this._state()
  }

  pause() {
    this.playing = false
    cancelAnimationFrame(this.request)
    this._state()
  }

  /** Go to a frame and stay there, or go on from there if playing. */
  seek(frame) {
    if (!this.motion) return
    this.frame = Math.min(this.motion.frames - 1, Math.max(0, Math.round(frame)))
    this.startedMs = performance.now() - (this.frame / this.motion.fps) * 1000
    this.draw()
  }

  /** Stop for good: the node is gone. */
  remove() {
    this.pause()
    this.observer.disconnect()
    this.pictures = []
    this.motion = null
  }

  draw() {
    if (!this.motion || !this.element.isConnected) return
    this._drawPicture()
    this._drawStrip()
    this.time.textContent = clock(this.frame, this.motion.frames, this.motion.fps)
    this.strip.setAttribute('aria-valuenow', String(this.frame))
    this.strip.setAttribute('aria-valuetext', this.time.textContent)
  }

  _drawPicture() {
    const image = this.pictures[pictureOf(this.frame, this.motion.frames, this.pictures.length)]
    if (!image?.complete || !image.naturalWidth) return // the picture before stays until this one has come
    const { context, width, height } = fitCanvas(this.picture)
    const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight)
    const [w, h] = [image.naturalWidth * scale, image.naturalHeight * scale]
    context.clearRect(0, 0, width, height)
    context.drawImage(image, (width - w) / 2, (height - h) / 2, w, h)
  }

  _drawStrip() {
    const { context, width, height } = fitCanvas(this.strip)
    context.clearRect(0, 0, width, height)
    this.kind.draw(context, width, height, this.motion, this.frame, this.element)
    const x = ((this.frame + 0.5) / this.motion.frames) * width
    context.fillStyle = colour(this.element, '--input-text', '#ddd')
    context.fillRect(Math.round(x) - 0.75, 0, 1.5, height)
  }

  _state() {
    this.element.classList.toggle('pt-shown', Boolean(this.motion))
    const words = text(this.playing ? 'pause' : 'play')
    this.toggle.textContent = this.playing ? '❚❚' : '▶'
    this.toggle.title = words
    this.toggle.setAttribute('aria-label', words)
  }

  _listen() {
    const scrub = (event) => {
      if (this.motion) this.seek((localX(event, this.strip) / this.strip.clientWidth) * this.motion.frames - 0.5)
    }
    this.toggle.addEventListener('click', () => (this.playing ? this.pause() : this.play()))
    this.picture.addEventListener('click', () => (this.playing ? this.pause() : this.play()))
    this.strip.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return
      this.strip.setPointerCapture(event.pointerId)
      this.pause()
      scrub(event)
    })
    this.strip.addEventListener('pointermove', (event) => {
      if (this.strip.hasPointerCapture(event.pointerId)) scrub(event)
    })
    this.strip.addEventListener('keydown', (event) => this._key(event))
    this.element.addEventListener('pointerdown', (event) => event.stopPropagation())
  }

  _key(event) {
    if (!this.motion || event.ctrlKey || event.metaKey || event.altKey) return
    const targets = {
      ArrowLeft: this.frame - 1,
      ArrowRight: this.frame + 1,
      PageUp: this.frame - this.motion.fps,
      PageDown: this.frame + this.motion.fps,
      Home: 0,
      End: this.motion.frames - 1,
    }
    if (event.key === ' ') this.playing ? this.pause() : this.play()
    else if (event.key in targets) {
      this.pause()
      this.seek(targets[event.key])
    } else return
    event.preventDefault()
    event.stopPropagation()
  }
}

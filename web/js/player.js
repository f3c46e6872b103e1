/** The player of Speech to Motion: the structure maps as a film, with loudness and jaw below. */
import { colour, fitCanvas, localX, make } from './drawing.js'
import { clock, frameAt, jawHeights, loudnessHeights, pictureOf, thinned } from './playback.js'
import { text } from './texts.js'

const MOST_PICTURES = 500
const STRIP_SPLIT = 0.55
export const PLAYER_HEIGHT = 330
export const EMPTY_HEIGHT = 64

export class Player {
  constructor() {
    this.motion = null
    this.frame = 0
    this.playing = false
    this.element = make('div', 'pt-player', { role: 'group', 'aria-label': text('motion') })
    this.empty = make('div', 'pt-empty')
    this.empty.textContent = text('notRun')
    this.picture = make('canvas', 'pt-picture', { role: 'img', 'aria-label': text('motion') })
    this.toggle = make('button', 'pt-button pt-play', { type: 'button' })
    this.time = make('span', 'pt-time')
    this.strip = make('canvas', 'pt-strip', { role: 'slider', tabindex: '0', 'aria-label': text('seek') })
    const bar = make('div', 'pt-foot')
    const legend = make('span', 'pt-legend')
    legend.append(...['loudness', 'jaw'].map((name) => {
      const entry = make('span', `pt-${name}`)
      entry.textContent = text(name)
      return entry
    }))
    bar.append(this.toggle, this.time, legend)
    this.element.append(this.empty, this.picture, bar, this.strip)
    this._listen()
    this._state()
    this.observer = new ResizeObserver(() => this.draw())
    this.observer.observe(this.element)
  }

  /** Height in pixels that the widget needs at least. */
  get height() {
    return this.motion ? PLAYER_HEIGHT : EMPTY_HEIGHT
  }

  /**
   * Show a motion.
   * @param {{fps: number, frames: number, jaw: number[], loudness: number[]}} motion
   * @param {string[]} urls of its pictures, evenly taken from its frames
   */
  show(motion, urls) {
    this.motion = {
      ...motion,
      jawHeights: jawHeights(motion.jaw ?? []),
      loudnessHeights: loudnessHeights(motion.loudness ?? []),
    }
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
    const split = Math.round(height * STRIP_SPLIT)
    context.clearRect(0, 0, width, height)
    this._drawLoudness(context, width, split)
    this._drawJaw(context, width, split + 3, height - 2)
    const x = ((this.frame + 0.5) / this.motion.frames) * width
    context.fillStyle = colour(this.element, '--input-text', '#ddd')
    context.fillRect(Math.round(x) - 0.75, 0, 1.5, height)
  }

  _drawLoudness(context, width, bottom) {
    const { loudnessHeights: heights } = this.motion
    const step = width / Math.max(1, heights.length)
    const middle = bottom / 2
    context.fillStyle = colour(this.element, '--pt-loudness', '#5aa9e6')
    heights.forEach((share, number) => {
      const half = Math.max(0.5, share * (middle - 2))
      context.globalAlpha = number <= this.frame ? 1 : 0.45
      context.fillRect(number * step, middle - half, Math.max(0.5, step - (step > 3 ? 1 : 0)), 2 * half)
    })
    context.globalAlpha = 1
  }

  _drawJaw(context, width, top, bottom) {
    const { jawHeights: heights } = this.motion
    if (!heights.length) return
    context.beginPath()
    heights.forEach((share, number) => {
      context.lineTo(((number + 0.5) / heights.length) * width, bottom - share * (bottom - top - 2))
    })
    context.strokeStyle = colour(this.element, '--pt-jaw', '#f0a35e')
    context.lineWidth = 1.5
    context.lineJoin = 'round'
    context.stroke()
    context.lineTo(width, bottom)
    context.lineTo(0, bottom)
    context.globalAlpha = 0.15
    context.fillStyle = context.strokeStyle
    context.fill()
    context.globalAlpha = 1
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

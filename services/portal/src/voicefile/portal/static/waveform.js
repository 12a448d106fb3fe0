// Draws the loudness of the recording and lets the listener jump in it. Everything else on the
// page works without it: the browser's own player is there already.
"use strict";

(async () => {
  const canvas = document.getElementById("waveform");
  const audio = document.getElementById("audio");
  const answer = await fetch(canvas.dataset.peaks, { credentials: "same-origin" });
  if (!answer.ok) return;
  const { peaks, peaks_per_second: perSecond } = await answer.json();
  const seconds = peaks.length / perSecond;
  const colours = getComputedStyle(document.documentElement);
  canvas.hidden = false;
  canvas.setAttribute("aria-valuemax", String(Math.round(seconds)));

  const draw = () => {
    const scale = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const bars = Math.max(1, Math.floor(width / 4));
    const played = (audio.currentTime / seconds) * bars;
    for (let bar = 0; bar < bars; bar += 1) {
      const from = Math.floor((bar * peaks.length) / bars);
      const to = Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / bars));
      let loudest = 0;
      for (let i = from; i < to && i < peaks.length; i += 1) loudest = Math.max(loudest, peaks[i]);
      const tall = Math.max(2, (loudest / 127) * (height - 8));
      pen.fillStyle = colours.getPropertyValue(bar < played ? "--accent" : "--wave");
      pen.fillRect(bar * 4, (height - tall) / 2, 2.5, tall);
    }
    canvas.setAttribute("aria-valuenow", String(Math.round(audio.currentTime)));
  };

  const jump = (to) => {
    const target = Math.min(Math.max(to, 0), Math.max(seconds - 0.05, 0));
    if (audio.readyState > 0) audio.currentTime = target;
    else {
      audio.addEventListener("loadedmetadata", () => { audio.currentTime = target; }, { once: true });
      audio.load();
    }
    draw();
  };

  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    jump(((event.clientX - box.left) / box.width) * seconds);
    audio.play();
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -5, ArrowRight: 5, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) { event.preventDefault(); jump(audio.currentTime + step); }
    if (event.key === " ") { event.preventDefault(); if (audio.paused) audio.play(); else audio.pause(); }
  });
  audio.addEventListener("timeupdate", draw);
  audio.addEventListener("seeked", draw);
  window.addEventListener("resize", draw);
  draw();
})();

"""Prints the mean of a frame, and what the camera can run neural networks on."""

import capture

if __name__ == "__main__":
    print(capture.devices(), capture.mean(640, 360))

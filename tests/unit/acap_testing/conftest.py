from tests.unit.acap_video.conftest import built_module, video

__all__ = ["built_module", "video"]

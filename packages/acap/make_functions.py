"""Write src/acap/*_functions.h: the functions of the camera's libraries that acap calls, from incamera's tables.

python packages/acap/make_functions.py
"""

from __future__ import annotations

import re
from pathlib import Path

from incamera.sdk.tables import Function, load_libraries

OUTPUT = Path(__file__).parent / "src/acap"
VDO = (
    "vdo_error_is_expected",
    *("vdo_map_new", "vdo_map_set_boolean", "vdo_map_set_uint32", "vdo_map_set_double", "vdo_map_set_string"),
    *("vdo_map_get_uint32", "vdo_map_get_double", "vdo_map_get_string", "vdo_map_get_pair32u"),
    *("vdo_channel_get", "vdo_channel_get_ex", "vdo_channel_get_all", "vdo_channel_get_id", "vdo_channel_get_info"),
    "vdo_channel_get_resolutions",
    *("vdo_stream_new", "vdo_stream_start", "vdo_stream_stop", "vdo_stream_get_fd", "vdo_stream_get_info"),
    *("vdo_stream_get_id", "vdo_stream_get_settings", "vdo_stream_get_buffer", "vdo_stream_buffer_unref"),
    *("vdo_stream_set_framerate", "vdo_stream_force_key_frame", "vdo_stream_snapshot"),
    *("vdo_stream_get", "vdo_stream_attach", "vdo_stream_get_event_fd", "vdo_stream_get_event"),
    *("vdo_buffer_get_data", "vdo_buffer_get_fd", "vdo_buffer_get_offset", "vdo_buffer_get_capacity"),
    *("vdo_buffer_is_contiguous", "vdo_frame_take_chunk"),
    *("vdo_frame_get_size", "vdo_frame_get_sequence_nbr", "vdo_frame_get_timestamp", "vdo_frame_get_custom_timestamp"),
    *("vdo_frame_get_frame_type", "vdo_frame_is_key", "vdo_frame_get_header_size"),
)
LAROD = (
    *("larodClearError", "larodConnect", "larodDisconnect", "larodListDevices", "larodGetDeviceName"),
    *("larodLoadModel", "larodDestroyModel", "larodDeleteModel"),
    *("larodAllocModelInputs", "larodAllocModelOutputs", "larodCreateModelInputs", "larodCreateModelOutputs"),
    *("larodDestroyTensors", "larodTrackTensor", "larodGetTensorName", "larodGetTensorByteSize"),
    *("larodGetTensorDims", "larodGetTensorPitches", "larodGetTensorDataType", "larodGetTensorLayout"),
    *("larodSetTensorFd", "larodGetTensorFd", "larodSetTensorFdSize", "larodGetTensorFdSize"),
    *("larodSetTensorFdOffset", "larodGetTensorFdOffset", "larodSetTensorFdProps", "larodGetTensorFdProps"),
    *("larodCreateMap", "larodDestroyMap", "larodMapSetStr", "larodMapSetInt", "larodMapSetIntArr2"),
    "larodMapSetIntArr4",
    *("larodCreateJobRequest", "larodDestroyJobRequest", "larodSetJobRequestInputs", "larodSetJobRequestParams"),
    *("larodRunJob", "larodRunJobAsync"),
)
BBOX = (
    *("bbox_new", "bbox_view_new", "bbox_destroy", "bbox_coordinates_scene_normalized"),
    *("bbox_coordinates_frame_normalized", "bbox_video_output", "bbox_color_from_rgb", "bbox_color_from_rgba"),
    *("bbox_clear", "bbox_color", "bbox_style_outline", "bbox_style_corners"),
    *("bbox_thickness_thin", "bbox_thickness_medium", "bbox_thickness_thick"),
    *("bbox_rectangle", "bbox_line", "bbox_quad", "bbox_move_to", "bbox_line_to", "bbox_draw_path", "bbox_commit"),
)
LICENSEKEY = ("licensekey_dyn_verify", "licensekey_dyn_verify_ex", "licensekey_dyn_get_exp_date")
AXSTORAGE = (
    *("ax_storage_list", "ax_storage_get_status", "ax_storage_subscribe", "ax_storage_unsubscribe"),
    *("ax_storage_setup_async", "ax_storage_release_async", "ax_storage_get_path", "ax_storage_get_type"),
)
AXOVERLAY2 = (
    *("axo_start", "axo_props_new", "axo_props_free", "axo_props_set_size", "axo_props_set_format"),
    *("axo_match_new", "axo_match_free", "axo_match_stream_id", "axo_create_overlay", "axo_remove_overlay"),
    *("axo_get_aligned_size", "axo_get_buffer", "axo_buffer_get_data", "axo_buffer_get_byte_size"),
    *("axo_submit_buffer", "axo_err_get_code", "axo_err_get_message", "axo_err_clear"),
)
AXOVERLAY = (
    *("axoverlay_init_axoverlay_settings", "axoverlay_init", "axoverlay_is_backend_supported", "axoverlay_redraw"),
    *("axoverlay_init_overlay_data", "axoverlay_create_overlay", "axoverlay_destroy_overlay"),
)
AXEVENT = (
    *("ax_event_key_value_set_new", "ax_event_key_value_set_free", "ax_event_key_value_set_add_key_value"),
    *("ax_event_key_value_set_mark_as_source", "ax_event_key_value_set_mark_as_data"),
    *("ax_event_key_value_set_mark_as_user_defined", "ax_event_key_value_set_add_nice_names"),
    *("ax_event_key_value_set_get_value_type", "ax_event_key_value_set_get_integer"),
    *("ax_event_key_value_set_get_boolean", "ax_event_key_value_set_get_double", "ax_event_key_value_set_get_string"),
    *("ax_event_new2", "ax_event_free", "ax_event_get_key_value_set", "ax_event_get_time_stamp2"),
    *("ax_event_handler_new", "ax_event_handler_declare", "ax_event_handler_undeclare"),
    *("ax_event_handler_send_event", "ax_event_handler_subscribe", "ax_event_handler_unsubscribe"),
)
AXPARAMETER = (
    *("ax_parameter_new", "ax_parameter_add", "ax_parameter_remove", "ax_parameter_set", "ax_parameter_get"),
    *("ax_parameter_list", "ax_parameter_register_callback", "ax_parameter_unregister_callback"),
)
MDB = (
    *("mdb_error_destroy", "mdb_connection_create", "mdb_connection_destroy", "mdb_message_get_payload"),
    *("mdb_message_get_timestamp", "mdb_subscriber_config_create", "mdb_subscriber_config_destroy"),
    *("mdb_subscriber_create_async", "mdb_subscriber_destroy"),
)
DATAHUB = (
    *("dh_error_destroy", "dh_error_to_string", "dh_error_get_code", "dh_timestamp_create", "dh_timestamp_destroy"),
    *("dh_topic_data_create", "dh_topic_data_destroy", "dh_topic_data_set_json_data", "dh_topic_data_get_json_data"),
    *("dh_topic_get_name", "dh_topic_destroy", "dh_topic_list_get_count", "dh_topic_list_get_name"),
    *("dh_topic_list_destroy", "dh_subscriber_destroy", "dh_subscriber_set_data_callback", "dh_subscriber_subscribe"),
    *("dh_filter_create", "dh_filter_destroy", "dh_filter_add_topic_name", "dh_subscribe_options_create"),
    *("dh_subscribe_options_destroy", "dh_subscribe_options_add_filter", "dh_subscribe_options_set_start_from"),
    *("dh_subscribe_options_set_enable_data_updates", "dh_subscribe_options_set_enable_instance_updates"),
    *("dh_topic_sample_get_topic_name", "dh_topic_sample_get_data", "dh_topic_sample_is_historical"),
    *("dh_writer_destroy", "dh_writer_set_consumer_match_update_callback", "dh_writer_register_production"),
    *("dh_writer_write_data", "dh_client_create", "dh_client_destroy", "dh_client_set_logging", "dh_client_connect"),
    *("dh_client_disconnect", "dh_client_get_connection_state", "dh_client_create_topic", "dh_client_get_topic"),
    *("dh_client_delete_topic", "dh_client_get_topic_list", "dh_client_create_subscriber", "dh_client_create_writer"),
)
CALLED = {
    "vdo": VDO,
    "larod": LAROD,
    "bbox": BBOX,
    "licensekey": LICENSEKEY,
    "axstorage": AXSTORAGE,
    "axoverlay": AXOVERLAY,
    "axoverlay2": AXOVERLAY2,
    "axevent": AXEVENT,
    "axparameter": AXPARAMETER,
    "mdb": MDB,
    "datahub": DATAHUB,
}
_DECLARATION = re.compile(r"(?P<result>.*?)(?P<name>\w+)\((?P<arguments>.*)\)")


def render(library: str) -> str:
    """Return the text of the header for *library*."""
    functions = {function.name: function for function in load_libraries()[library].functions}
    entries = " \\\n".join(_entry(functions[name]) for name in CALLED[library])
    return (
        "/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */\n"
        f"#define {library.upper()}_FUNCTIONS(FUNCTION) \\\n{entries}\n"
    )


def _entry(function: Function) -> str:
    match = _DECLARATION.fullmatch(function.c)
    assert match, function.c
    arguments = " ".join(match["arguments"].split())
    return f'    FUNCTION({match["result"].strip()}, {function.name}, ({arguments}), "{function.since}")'


if __name__ == "__main__":
    for library in CALLED:
        (OUTPUT / f"{library}_functions.h").write_text(render(library), "utf-8")

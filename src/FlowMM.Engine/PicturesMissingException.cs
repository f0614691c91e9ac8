namespace FlowMM.Engine;

/// <summary>A session was taken for resident and is not: pictures of its history must be decoded before it can run.</summary>
internal sealed class PicturesMissingException() : Exception("A picture of the history is not decoded.");

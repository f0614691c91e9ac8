namespace FlowMM.Abstractions;

/// <summary>Keys of the request context, which travels beside a call.</summary>
public static class RequestKeys
{
    /// <summary>The turn's pictures, <see cref="PictureDigest.Pack"/>: a session that is on no node yet goes where they are known.</summary>
    public const string Pictures = "flowmm.pictures";
}

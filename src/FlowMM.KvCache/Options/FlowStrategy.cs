namespace FlowMM.KvCache;

/// <summary>How a layer decides whether it merges across modalities.</summary>
public enum FlowStrategy
{
    /// <summary>Across modalities when the raw flow exceeds theta (the paper).</summary>
    Threshold,

    /// <summary>Across modalities when the sink-free flow exceeds chance.</summary>
    Calibrated,

    /// <summary>Never across modalities.</summary>
    Intra,

    /// <summary>Always across modalities, where a segment has both.</summary>
    Inter,

    /// <summary>The opposite of <see cref="Threshold"/>: a control.</summary>
    Misaligned,

    /// <summary>The opposite of <see cref="Calibrated"/>: a control.</summary>
    MisalignedCalibrated,
}

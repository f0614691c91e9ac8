namespace FlowMM.KvCache;

/// <summary>What a cluster of tokens becomes (FLOWMM.md section 4).</summary>
public enum MergeMode
{
    /// <summary>Weighted mean of the values; beta keeps the cluster's attention mass.</summary>
    Mass,

    /// <summary>The pivot alone; the others are dropped.</summary>
    Evict,

    /// <summary>Values as in <see cref="Mass"/>, beta unchanged.</summary>
    ValueOnly,

    /// <summary>Values as in <see cref="Mass"/>, beta the logarithm of the tokens it stands for.</summary>
    LogCount,

    /// <summary>LOOK-M: keys and values averaged, half the weight on the pivot.</summary>
    PivotMean,

    /// <summary>D2O: keys and values averaged with weights exp(cosine to the pivot).</summary>
    SimilarityMean,

    /// <summary>KVMerger: keys and values averaged with Gaussian weights of the distance to the pivot.</summary>
    Gaussian,
}

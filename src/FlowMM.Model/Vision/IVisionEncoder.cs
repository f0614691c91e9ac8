using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>Pixels to rows that take the place of image tokens.</summary>
internal interface IVisionEncoder : IDisposable
{
    /// <summary>Called with embeddings and each layer's output, by the names of the reference's files; for parity tests.</summary>
    Action<string, Tensor>? State { get; set; }

    /// <summary>One picture of <paramref name="layout"/>'s shape -> [tokens, C].</summary>
    Tensor Forward(Tensor pixels, ImageLayout layout);
}

/// <summary>A tower whose pictures, or tiles of them, all have the same size.</summary>
internal interface IFixedTower : IDisposable
{
    Action<string, Tensor>? State { get; set; }

    /// <summary>pixels [n, 3, S, S] -> [n, P, W].</summary>
    Tensor Forward(Tensor pixels);
}

/// <summary>Maps a tower's rows into the decoder's width.</summary>
internal interface IProjector : IDisposable
{
    /// <summary>x [n, P, W] -> [n, tokens, C].</summary>
    Tensor Forward(Tensor x);
}

using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>A tower of fixed size and its projector; the tiles of a picture follow each other.</summary>
internal sealed class FixedEncoder(IFixedTower tower, IProjector projector) : IVisionEncoder
{
    public Action<string, Tensor>? State
    {
        get => tower.State;
        set => tower.State = value;
    }

    public Tensor Forward(Tensor pixels, ImageLayout layout) => projector.Forward(tower.Forward(pixels)).flatten(0, 1); // [n tokens, C]

    public void Dispose()
    {
        tower.Dispose();
        projector.Dispose();
    }
}

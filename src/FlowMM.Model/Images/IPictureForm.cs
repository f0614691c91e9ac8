namespace FlowMM.Model.Images;

/// <summary>What a family's vision tower reads of a picture.</summary>
internal interface IPictureForm
{
    /// <summary>Tokens of every picture, or 0 when they depend on its size.</summary>
    int FixedTokens { get; }

    /// <exception cref="ImageRejectedException">The family does not take a picture of this size.</exception>
    ImageLayout Layout(int width, int height);

    /// <summary>The layout's values.</summary>
    float[] Pixels(PixelGrid image);
}
